#!lua flags=allow-oom
-- Give back, now, the jobs of a worker that died: each takes its old place in the queue, its attempt lost but counted.
-- ARGV: now, worker, default max tries, record kept ms, error of the lost attempts (JSON); what else ran is added to its
--       details: "also_running", some of them as {id, function}, and "also_running_count".
-- Returns the ids given back, then the dead ones: those out of attempts.
-- @include base
-- @include index
-- @include terminal
-- @include attempts
-- @include requeue
-- @include counts
local OTHERS = 20 -- are named in each entry
local worker, held, given, dead, touched = ARGV[2], {}, {}, {}, {}
for _, id in ipairs(redis.call('ZRANGE', 'offload:running:' .. worker, 0, -1)) do
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'token', 'enqueued', 'attempt', 'max_tries', 'function', 'started', 'due',
    'priority', 'unique', 'callback')
  local is_ours = rec[2] and string.sub(rec[2], 1, #worker + 1) == worker .. ':'
  if is_ours and redis.call('GET', 'arq:in-progress:' .. id) == rec[2] then held[#held + 1] = {id = id, rec = rec} end
end

local function lost_beside_others(id, name)
  local others, lost = {}, cjson.decode(ARGV[5])
  for i = 1, math.min(#held, OTHERS + 1) do
    local one = held[i]
    if one.id ~= id and #others < OTHERS then others[#others + 1] = {id = one.id, ['function'] = one.rec[6] or nil} end
  end
  lost.details, lost.fingerprint = lost.details or {}, lost_fingerprint(name)
  lost.details.also_running_count = #held - 1
  if #others > 0 then lost.details.also_running = others end -- an empty list would come out as {}
  return lost
end

for _, one in ipairs(held) do
  local id, rec, lost = one.id, one.rec, lost_beside_others(one.id, one.rec[6])
  local q, attempt, name = rec[1], tonumber(rec[4]), rec[6] or nil
  local is_last = attempt >= tonumber(rec[5] or ARGV[3])
  keep_attempt(id, cjson.encode({attempt = attempt, started = tonumber(rec[7]), ended = now, worker = worker, error = lost}),
    lost.fingerprint, rec[3])
  forget_lease(id, q, worker)
  if is_last then
    terminate({id = id, queue = q, from = 'running', enqueued = rec[3], status = 'dead', result = '', keep = 0,
      kept = tonumber(ARGV[4]), unique = rec[10], callback = rec[11], fields = {'error', cjson.encode(lost)}})
    emit('dead', id, q, name, nil, attempt)
    dead[#dead + 1] = id
  else
    requeue({id = id, queue = q, enqueued = rec[3], status = 'queued', due = tonumber(rec[8]), priority = rec[9],
      attempt = attempt, event = 'retrying', fields = {}}, name)
    given[#given + 1], touched[q] = id, true
  end
  count(is_last and 'dead' or 'failed', name or '<unknown>')
end
redis.call('DEL', 'offload:running:' .. worker, 'offload:worker:' .. worker, 'offload:inbox:' .. worker)
redis.call('ZREM', 'offload:workers', worker)
for _, q in ipairs({'default', unpack(redis.call('SMEMBERS', 'offload:queues'))}) do
  redis.call('ZREM', 'offload:idle:' .. q, worker) -- a wake-up would be lost on the dead
end
for q in pairs(touched) do wake(q) end
write_counts()
publish()
return {given, dead}
