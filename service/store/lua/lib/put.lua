-- Putting one new job in. Returns 1, or 0 when a job of this id exists, in any form.
-- fields: flat list for the record (function, options …); payload: arq's serialised job.
local function put(id, q, due, payload, fields)
  local record = 'offload:job:' .. id
  if redis.call('EXISTS', 'arq:job:' .. id, 'arq:result:' .. id, record) > 0 then return 0 end
  local status = due > now and 'deferred' or 'queued'
  redis.call('SET', 'arq:job:' .. id, payload)
  put_in(queue_key(q), due, id)
  redis.call('HSET', record, 'queue', q, 'status', status, 'enqueued', now, 'due', due, unpack(fields))
  put_in('offload:jobs', now, id)
  file_under(id, nil, status, now)
  if status == 'deferred' then put_in('offload:due', due, id) end
  emit(status, id, {queue = q, ['function'] = fields[2], due = due})
  return 1
end
