-- Replay dead or aborted jobs, with attempts from 1 again; make deferred or retrying ones due now.
-- ARGV: now, ids. Returns for each 'queued', 'unknown', 'expired' (its payload is gone), the status that forbids it, or
-- 'held ' with the id of the job that has its unique key by now.
-- A stock worker that ended a job, or a stock producer that used its id again, has changed no record: the queue shows it.
-- @include base
-- @include index
-- @include unique
local said, touched = {}, {}

local function replay(id)
  local record = 'offload:job:' .. id
  local rec = redis.call('HMGET', record, 'status', 'queue', 'enqueued', 'payload', 'function', 'priority', 'unique')
  local status, q = rec[1], rec[2]
  if not status then return 'unknown' end
  local is_queued = redis.call('ZSCORE', queue_key(q), id)
  if status == 'dead' or status == 'aborted' then
    if is_queued then return 'queued' end
    if not rec[4] then return 'expired' end
    local holder = rec[7] and take_unique(id, unique_key(rec[7]))
    if holder then return 'held ' .. holder end
    redis.call('SET', 'arq:job:' .. id, rec[4])
    redis.call('DEL', 'arq:result:' .. id, 'arq:retry:' .. id)
    redis.call('HDEL', record, 'payload', 'error', 'finished', 'expires', 'result_expires', 'started', 'worker', 'token',
      'attempt', 'progress', 'aborting')
    redis.call('PERSIST', record)
    take_out('offload:expires', id)
    redis.call('HINCRBY', record, 'replays', 1)
  elseif status ~= 'deferred' and status ~= 'retrying' then
    return status
  elseif not is_queued then
    return 'expired'
  end
  redis.call('HSET', record, 'status', 'queued', 'due', now)
  put_in(queue_key(q), place(now, rec[6]), id)
  file_under(id, status, 'queued', rec[3])
  emit('queued', id, q, rec[5])
  touched[q] = true
  return 'queued'
end

for i = FIRST, #ARGV do said[#said + 1] = replay(ARGV[i]) end
for q in pairs(touched) do wake(q) end
publish()
return said
