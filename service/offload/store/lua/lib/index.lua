-- The lists of jobs, all by enqueue time: offload:jobs:<status> holds those of one status, so each job is in one of them, and
-- there is one for each function, queue, tag and error. A record says which lists its job is in.
local function file_under(id, from, to, enqueued)
  if from == to then return end
  if from then take_out(list_of(from), id) end
  put_in(list_of(to), enqueued, id)
  if from == 'deferred' or from == 'retrying' then take_out('offload:due', id) end
end

-- A stock producer looks at no record, so it may use the id of a job that has ended here. That is a new job:
-- what is kept of the old one goes, and the new one's first attempt, or its end, makes a record of its own.
local function is_over(status) return status == 'succeeded' or status == 'dead' or status == 'aborted' end
local function forget(id, listed) -- listed: the status under which it was found, if it was
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'status', 'queue', 'function', 'tags', 'errors')
  if rec[1] then take_out(list_of(rec[1]), id) end
  if listed and listed ~= rec[1] then take_out(list_of(listed), id) end
  if not rec[1] then
    for _, status in ipairs({'succeeded', 'dead', 'aborted'}) do take_out(list_of(status), id) end
  end
  if rec[2] then take_out(list_of_queue(rec[2]), id) end
  if rec[3] then take_out(list_of_function(rec[3]), id) end
  for _, tag in ipairs(rec[4] and cjson.decode(rec[4]) or {}) do take_out('offload:jobs:tag:' .. tag, id) end
  for _, fingerprint in ipairs(rec[5] and cjson.decode(rec[5]) or {}) do take_out('offload:jobs:error:' .. fingerprint, id) end
  if not is_over(rec[1]) then take_out('offload:due', id) end
  take_out('offload:expires', id)
  drop('offload:job:' .. id, 'offload:attempts:' .. id, 'offload:log:' .. id)
end
-- Of a stock producer's job a record is made at its first claim, and its function is known when a worker has read it.
local function learn_function(id, name, enqueued)
  if name == '' then return end
  redis.call('HSET', 'offload:job:' .. id, 'function', name)
  put_in(list_of_function(name), enqueued, id)
end
local function learn_queue(id, before, q, enqueued) -- a producer may put an id that a stock worker ended into another
  if before == q then return end
  if before then take_out(list_of_queue(before), id) end
  put_in(list_of_queue(q), enqueued, id)
end
local function forget_ended(id)
  forget(id)
  drop_keys() -- now, for a new record comes in the place of the old one
end

-- Time alone makes a deferred or retrying job queued: move those that have become due, some at a time.
local function promote(limit)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'offload:due', '-inf', now, 'LIMIT', 0, limit)) do
    local rec = redis.call('HMGET', 'offload:job:' .. id, 'status', 'enqueued')
    if rec[1] == 'deferred' or rec[1] == 'retrying' then
      redis.call('HSET', 'offload:job:' .. id, 'status', 'queued')
      file_under(id, rec[1], 'queued', rec[2])
    else
      redis.call('ZREM', 'offload:due', id)
    end
  end
  write_sets()
end
