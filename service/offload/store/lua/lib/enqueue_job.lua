-- @include unique
-- Enqueueing one new job. Returns 1, 0 when a job of this id exists, in any form, or the id of the job that has its unique key.
-- fields: flat list for the record (function, options …), `unique` (a hash), `unique_for` (ms from now);
-- payload: arq's serialised job.
local function enqueue_job(id, q, due, payload, fields)
  local record = 'offload:job:' .. id
  if redis.call('EXISTS', 'arq:job:' .. id, 'arq:result:' .. id, record) > 0 then return 0 end
  local priority, tags
  for f = 3, #fields, 2 do
    if fields[f] == 'priority' then
      priority = fields[f + 1]
    elseif fields[f] == 'tags' then
      tags = fields[f + 1]
    elseif fields[f] == 'unique' then
      local holder = take_unique(id, unique_key(fields[f + 1]))
      if holder then return holder end
    elseif fields[f] == 'unique_for' then
      fields[f], fields[f + 1] = 'unique_until', string.format('%.0f', now + tonumber(fields[f + 1]))
    end
  end
  local status = due > now and 'deferred' or 'queued'
  redis.call('SET', 'arq:job:' .. id, payload)
  put_in(queue_key(q), place(due, priority), id)
  redis.call('HSET', record, 'queue', q, 'status', status, 'enqueued', now, 'due', due, unpack(fields))
  put_in(list_of_queue(q), now, id)
  put_in(list_of_function(fields[2]), now, id)
  for _, tag in ipairs(tags and cjson.decode(tags) or {}) do put_in('offload:jobs:tag:' .. tag, now, id) end
  file_under(id, nil, status, now)
  if status == 'deferred' then put_in('offload:due', due, id) end
  emit(status, id, q, fields[2], due)
  return 1
end
