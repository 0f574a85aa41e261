-- The callback of a job that ended, by any script: a job of its own, enqueued in the same step. The record has it ready
-- since the enqueue: `callback` is its payload, `callback_job` JSON {queue, fields, options}.
-- @include enqueue_job
-- CALLBACK_KEPT, from domain/callbacks.py: how long in ms a job with a callback is kept at least.
local called = {}
local function call_back(r)
  local record = 'offload:job:' .. r.id
  local job, id = cjson.decode(redis.call('HGET', record, 'callback_job')), nil
  local told, fields = job.options.callback, job.fields
  told.status, told.at = r.status, now
  fields[#fields + 1], fields[#fields + 2] = 'options', cjson.encode(job.options)
  repeat -- what an earlier job of this id left behind has such ids too
    id = string.format('callback:%s:%d', r.id, redis.call('HINCRBY', record, 'callbacks', 1))
  until enqueue_job(id, job.queue, now, r.callback, fields) == 1
  if not called[job.queue] then
    redis.call('SADD', 'offload:queues', job.queue)
    wake(job.queue)
  end
  called[job.queue] = true
end
