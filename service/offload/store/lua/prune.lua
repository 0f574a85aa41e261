#!lua flags=allow-oom
-- Remove expired records with their lists, entries of running jobs without a lease, and abort requests that no worker
-- will answer.
-- ARGV: now, the most records, age in ms after which an abort request is void. Returns the number of records removed.
-- @include base
-- @include index
-- @include unique
local gone = redis.call('ZRANGEBYSCORE', 'offload:expires', '-inf', now, 'LIMIT', 0, ARGV.limit)
for _, id in ipairs(gone) do forget(id) end
write_sets()

-- A stock worker that ends a job writes no record of ours, only arq's result. Check some jobs each time.
local ended = 0
for _, status in ipairs({'deferred', 'queued', 'running', 'retrying'}) do
  local key = 'offload:jobs:' .. status
  local count = redis.call('ZCARD', key)
  local first = count > 20 and now % count or 0
  for _, id in ipairs(redis.call('ZRANGE', key, first, first + 19)) do
    local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'unique')
    local q = rec[1]
    if not q or not redis.call('ZSCORE', queue_key(q), id) then
      forget(id, status)
      if q then drop('arq:retry:' .. id) end
      if rec[2] then leave_unique(id, rec[2]) end
      ended = ended + 1
    end
  end
end
for _, q in ipairs({'default', unpack(redis.call('SMEMBERS', 'offload:queues'))}) do
  redis.call('ZREMRANGEBYSCORE', 'offload:running-on:' .. q, '-inf', now) -- also of jobs that a stock worker ended
end
redis.call('ZREMRANGEBYSCORE', 'arq:abort', '-inf', now - tonumber(ARGV.abort_age_ms))
redis.call('ZREMRANGEBYSCORE', 'offload:workers', '-inf', now - 60000)
publish()
return #gone + ended
