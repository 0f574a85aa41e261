-- @include fetch
-- Taking one job. The in-progress key decides: it is set only if no worker, ours or stock, holds it.
local lease = tonumber(ARGV.lease_ms)
local function take(id, q, key, worker, aborting)
  local token = worker .. ':' .. ARGV.sequence
  if not redis.call('SET', 'arq:in-progress:' .. id, token, 'NX', 'PX', lease) then return nil end
  local record = 'offload:job:' .. id
  local rec = redis.call('HMGET', record, 'status', 'enqueued', 'due', 'options', 'function', 'timeout', 'worker', 'started',
    'queue')
  if is_over(rec[1]) then
    forget_ended(id)
    rec = {}
  end
  local status, enqueued, due = rec[1], rec[2] or now, rec[3] or due_of(redis.call('ZSCORE', key, id))
  local attempts = 'arq:retry:' .. id
  local attempt = redis.call('INCR', attempts)
  if attempt > 1 then redis.call('PERSIST', attempts) end -- a stock worker lets it live a day; it must outlast any backoff
  if not status then -- made by a stock producer: from here on the payload must outlast any backoff
    redis.call('PERSIST', 'arq:job:' .. id)
    redis.call('HSET', record, 'enqueued', enqueued, 'due', due)
  end
  learn_queue(id, rec[9], q, enqueued)
  local lost = status == 'running' and rec[7]
  if lost then
    redis.call('ZREM', 'offload:running:' .. lost, id)
    if lost ~= worker then post_lost(lost, id) end -- it may live, and must stop this attempt
    local why = {type = 'WorkerLost', message = 'the lease of worker ' .. lost .. ' ran out', fingerprint = lost_fingerprint(rec[5])}
    keep_attempt(id, cjson.encode({attempt = attempt - 1, started = tonumber(rec[8]), ended = now, worker = lost, error = why}),
      why.fingerprint, enqueued)
    redis.call('HDEL', record, 'progress', 'aborting')
  end
  put_in(key, now + lease, id)
  put_in('offload:running:' .. worker, now + tonumber(rec[6] or ARGV.timeout_ms) + tonumber(ARGV.grace_ms), id)
  put_in('offload:running-on:' .. q, now + lease, id)
  redis.call('HSET', record, 'queue', q, 'status', 'running', 'started', now, 'worker', worker, 'token', token,
    'attempt', attempt)
  file_under(id, status, 'running', enqueued)
  emit('running', id, q, rec[5], nil, attempt, worker)
  return {id, q, attempt, false, enqueued, due, rec[4] or '', rec[5] or '', lost,
    aborting and redis.call('ZSCORE', 'arq:abort', id) and 1 or 0}
end

-- Fetch the payloads of jobs taken, in one call.
local function add_payloads(jobs)
  local names = {}
  for i, job in ipairs(jobs) do names[i] = 'arq:job:' .. job[1] end
  local payloads = fetch(names)
  for i, job in ipairs(jobs) do job[4] = payloads[names[i]] end
end

-- Jobs of this worker with an abort request, of ours or of arq's Job.abort().
local function aborts(worker)
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGE', 'arq:abort', 0, -1)) do
    if redis.call('ZSCORE', 'offload:running:' .. worker, id) then ids[#ids + 1] = id end
  end
  return ids
end
