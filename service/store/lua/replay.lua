-- Put a dead or aborted job back, attempts counted from 1 again; make a deferred or retrying one due now.
-- ARGV: now, id. Returns 'queued', 'unknown', 'expired' (its payload is gone), or the status that forbids it.
-- A stock worker that ended a job, or a stock producer that used its id again, has changed no record: the queue tells.
-- @include base
-- @include index
local id, record = ARGV[2], 'offload:job:' .. ARGV[2]
local rec = redis.call('HMGET', record, 'status', 'queue', 'enqueued', 'payload', 'function')
local status, q = rec[1], rec[2]
if not status then return 'unknown' end
local is_queued = redis.call('ZSCORE', queue_key(q), id)
if status == 'dead' or status == 'aborted' then
  if is_queued then return 'queued' end
  if not rec[4] then return 'expired' end
  redis.call('SET', 'arq:job:' .. id, rec[4])
  redis.call('DEL', 'arq:result:' .. id, 'arq:retry:' .. id)
  redis.call('HDEL', record, 'payload', 'error', 'finished', 'expires', 'result_expires', 'started', 'worker', 'token',
    'attempt', 'progress', 'aborting')
  redis.call('PERSIST', record)
  redis.call('ZREM', 'offload:expires', id)
  redis.call('HINCRBY', record, 'replays', 1)
elseif status ~= 'deferred' and status ~= 'retrying' then
  return status
elseif not is_queued then
  return 'expired'
end
redis.call('HSET', record, 'status', 'queued', 'due', now)
redis.call('ZADD', queue_key(q), now, id)
file_under(id, status, 'queued', rec[3])
emit('queued', id, {queue = q, ['function'] = rec[5] or nil})
wake(q)
publish()
return 'queued'
