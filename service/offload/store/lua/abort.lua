#!lua flags=allow-oom
-- Abort jobs: a waiting one at once; a running one by a message to its worker (and arq's abort set, for stock workers).
-- ARGV: now, TTLs of result and record, the number of queues to search for jobs that a stock producer made, these queues,
--       then for each job a JOB: id, result for arq's Job.result() ('' for none), function ('' where it is unknown).
-- Returns for each 'aborted', 'aborting', 'unknown', or the terminal status it has.
-- @include base
-- @include index
-- @include terminal
local keep, kept, queues, said = tonumber(ARGV.result_ttl_ms), tonumber(ARGV.dead_ttl_ms), tonumber(ARGV.queue_count), {}

local function abort(id, result, name)
  local record = 'offload:job:' .. id
  local rec = redis.call('HMGET', record, 'status', 'queue', 'enqueued', 'worker', 'function', 'unique', 'callback')
  local status, q = rec[1], rec[2]
  if q and not redis.call('ZSCORE', queue_key(q), id) then q = nil end -- it has ended, maybe by a stock worker
  for n = FIRST, FIRST + queues - 1 do
    if not q and redis.call('ZSCORE', queue_key(ARGV[n]), id) then q = ARGV[n] end
  end
  if not q then return is_over(status) and status or 'unknown' end
  if redis.call('EXISTS', 'arq:in-progress:' .. id) == 1 then
    put_in('arq:abort', now, id)
    if status then redis.call('HSET', record, 'aborting', 1) end
    if rec[4] then post(rec[4], 'abort ' .. id) end
    return 'aborting'
  end
  if is_over(status) then
    forget_ended(id)
    status, rec = nil, {}
  end
  local enqueued = rec[3] or now
  learn_queue(id, rec[2], q, enqueued)
  if not rec[5] then learn_function(id, name, enqueued) end
  if status == 'running' then forget_lease(id, q, rec[4]) end -- its lease ran out and no worker has claimed it since
  terminate({id = id, queue = q, from = status, enqueued = enqueued, status = 'aborted', result = result,
    keep = keep, kept = kept, unique = rec[6], callback = rec[7], fields = {'enqueued', enqueued}})
  emit('aborted', id, q, rec[5])
  return 'aborted'
end

for i = FIRST + queues, #ARGV, SIZE(JOB) do said[#said + 1] = abort(JOB(i).id, JOB(i).result, JOB(i).function) end
publish()
return said
