#!lua flags=allow-oom
-- Remove ids without a record from lists: Redis expired the records, since no worker pruned for more than a day. A record
-- names the lists of its job; without it, a walk of a list finds the ids that are left there.
-- ARGV: now, the number of lists, lists ('tag:x'), ids. Returns the number of ids without a record.
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
