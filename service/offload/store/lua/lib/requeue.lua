-- Requeueing a job that ran: its lease is over, and it waits again, until `due` or for its turn.
-- r: {id, queue, enqueued, status = 'queued' or 'retrying', due, priority, event, attempt, fields = flat list for the record}
local function requeue(r, name)
  local record = 'offload:job:' .. r.id
  drop('arq:in-progress:' .. r.id)
  put_in(queue_key(r.queue), place(r.due, r.priority), r.id)
  redis.call('HSET', record, 'status', r.status, unpack(r.fields))
  redis.call('HDEL', record, 'worker', 'token', 'progress')
  file_under(r.id, 'running', r.status, r.enqueued)
  if r.status == 'retrying' then put_in('offload:due', r.due, r.id) end
  emit(r.event, r.id, r.queue, name, r.due, r.attempt)
end

-- An attempt that costs none: the one before it is the last that counts.
local function uncount(id)
  if redis.call('DECR', 'arq:retry:' .. id) <= 0 then drop('arq:retry:' .. id) end
end
