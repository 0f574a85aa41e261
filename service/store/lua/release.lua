#!lua flags=allow-oom
-- Give back, now, the jobs of a worker that died: each is due again at once, its attempt lost but counted.
-- ARGV: now, worker, default max tries, record kept ms, entry of the lost attempt (JSON, its "attempt" is set here),
--       error for the record of a job that is out of attempts (JSON). Returns the ids given back, then the dead ones.
-- @include base
-- @include index
-- @include terminal
-- @include attempts
local worker, given, dead, touched = ARGV[2], {}, {}, {}
for _, id in ipairs(redis.call('ZRANGE', 'offload:running:' .. worker, 0, -1)) do
  local record = 'offload:job:' .. id
  local rec = redis.call('HMGET', record, 'queue', 'token', 'enqueued', 'attempt', 'max_tries', 'function', 'started')
  if rec[2] and redis.call('GET', 'arq:in-progress:' .. id) == rec[2] and string.sub(rec[2], 1, #worker + 1) == worker .. ':' then
    local q, attempt = rec[1], tonumber(rec[4])
    local entry = cjson.decode(ARGV[5])
    entry.attempt, entry.started, entry.ended, entry.worker = attempt, tonumber(rec[7]), now, worker
    keep_attempt(id, cjson.encode(entry))
    forget_lease(id, q, worker)
    redis.call('DEL', 'arq:in-progress:' .. id)
    if attempt >= tonumber(rec[5] or ARGV[3]) then
      terminate({id = id, queue = q, from = 'running', enqueued = rec[3], status = 'dead', result = '', keep = 0,
        kept = tonumber(ARGV[4]), fields = {'error', ARGV[6]}})
      emit('dead', id, {queue = q, ['function'] = rec[6] or nil, attempt = attempt})
      dead[#dead + 1] = id
    else
      redis.call('ZADD', queue_key(q), now, id)
      redis.call('HSET', record, 'status', 'queued', 'due', now)
      redis.call('HDEL', record, 'worker', 'token', 'progress')
      file_under(id, 'running', 'queued', rec[3])
      emit('retrying', id, {queue = q, ['function'] = rec[6] or nil, attempt = attempt, due = now})
      given[#given + 1], touched[q] = id, true
    end
  end
end
redis.call('DEL', 'offload:running:' .. worker, 'offload:worker:' .. worker, 'offload:inbox:' .. worker)
redis.call('ZREM', 'offload:workers', worker)
for _, q in ipairs({'default', unpack(redis.call('SMEMBERS', 'offload:queues'))}) do
  redis.call('ZREM', 'offload:idle:' .. q, worker) -- a wake-up would be lost on the dead
end
for q in pairs(touched) do wake(q) end
publish()
return {given, dead}
