#!lua flags=allow-oom
-- Take ids out of lists that outlived their records: Redis dropped them, since for more than a day nobody pruned. A record
-- says which lists its job is in; without it, who walks a list finds what is left there.
-- ARGV: now, how many lists, lists ('tag:x'), ids. Returns how many ids had no record.
-- @include base
-- @include index
local gone = 0
for i = FIRST + ARGV.list_count, #ARGV do
  if redis.call('EXISTS', 'offload:job:' .. ARGV[i]) == 0 then
    forget(ARGV[i])
    for l = FIRST, FIRST + ARGV.list_count - 1 do take_out(list_of(ARGV[l]), ARGV[i]) end
    gone = gone + 1
  end
end
publish()
return gone
