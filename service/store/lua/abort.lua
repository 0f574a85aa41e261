#!lua flags=allow-oom
-- Abort one job: at once while it waits; while it runs, by telling its worker (and arq's abort set, for stock ones).
-- ARGV: now, id, result for arq's Job.result() ('' for none), keep ms, record kept ms, then queues to look in for a
--       job that a stock producer made. Returns 'aborted', 'aborting', 'unknown', or the terminal status it has.
-- @include base
-- @include index
-- @include terminal
local id, record = ARGV[2], 'offload:job:' .. ARGV[2]
local rec = redis.call('HMGET', record, 'status', 'queue', 'enqueued', 'worker', 'function')
local status, q = rec[1], rec[2]
if q and not redis.call('ZSCORE', queue_key(q), id) then q = nil end -- it has ended, maybe by a stock worker
for i = 6, #ARGV do
  if not q and redis.call('ZSCORE', queue_key(ARGV[i]), id) then q = ARGV[i] end
end
if not q then return is_over(status) and status or 'unknown' end
if redis.call('EXISTS', 'arq:in-progress:' .. id) == 1 then
  redis.call('ZADD', 'arq:abort', now, id)
  if status then redis.call('HSET', record, 'aborting', 1) end
  if rec[4] then post(rec[4], 'abort ' .. id) end
  return 'aborting'
end
if is_over(status) then
  forget_ended(id, status)
  status, rec = nil, {}
end
local enqueued = rec[3] or now
if not status then redis.call('ZADD', 'offload:jobs', enqueued, id) end
if status == 'running' then forget_lease(id, q, rec[4]) end -- its lease ran out and nobody has taken it up
terminate({id = id, queue = q, from = status, enqueued = enqueued, status = 'aborted', result = ARGV[3],
  keep = tonumber(ARGV[4]), kept = tonumber(ARGV[5]), fields = {'enqueued', enqueued}})
emit('aborted', id, {queue = q, ['function'] = rec[5] or nil})
publish()
return 'aborted'
