-- Take out what has outlived its keep: records with their lists, and abort requests that nobody will ever answer.
-- ARGV: now, how many at most, age in ms after which an abort request is void. Returns how many records went.
-- @include base
local gone = redis.call('ZRANGEBYSCORE', 'offload:expires', '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(gone) do
  local status = redis.call('HGET', 'offload:job:' .. id, 'status')
  redis.call('ZREM', 'offload:jobs', id)
  for _, name in ipairs(status and {status} or {'succeeded', 'dead', 'aborted'}) do
    redis.call('ZREM', 'offload:jobs:' .. name, id)
  end
  redis.call('DEL', 'offload:job:' .. id, 'offload:attempts:' .. id, 'offload:log:' .. id)
  redis.call('ZREM', 'offload:expires', id)
end
redis.call('ZREMRANGEBYSCORE', 'arq:abort', '-inf', now - tonumber(ARGV[3]))
redis.call('ZREMRANGEBYSCORE', 'offload:workers', '-inf', now - 60000)
return #gone
