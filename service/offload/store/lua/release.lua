#!lua flags=allow-oom
-- Release the jobs of a dead worker: each takes its old place in the queue; its attempt is lost but counts.
-- ARGV: now, worker, default max tries, TTL of a dead job, error of the lost attempts (JSON), and the job that is known to
--       have caused the death, or '': where it is known only its attempt counts. The error's details get the other jobs:
--       "also_running", some of them as {id, function}, and "also_running_count".
-- Returns the ids requeued, then the dead ones: those out of attempts.
-- @include base
-- @include index
-- @include terminal
-- @include attempts
-- @include requeue
-- @include counts
-- @include lost
local worker, culprit, requeued, dead, touched = ARGV.worker, ARGV.culprit, {}, {}, {}
local held = held_by(worker)

local function requeue_lost(id, rec, event)
  local q = rec[1]
  requeue({id = id, queue = q, enqueued = rec[3], status = 'queued', due = tonumber(rec[8]), priority = rec[9],
    attempt = tonumber(rec[4]), event = event, fields = {}}, rec[6] or nil)
  requeued[#requeued + 1], touched[q] = id, true
end

for _, one in ipairs(held) do
  local id, rec = one.id, one.rec
  local q, attempt, name = rec[1], tonumber(rec[4]), rec[6] or nil
  local is_counted = culprit == '' or culprit == id
  local is_last = is_counted and attempt >= tonumber(rec[5] or ARGV.max_tries)
  forget_lease(id, q, worker)
  if is_counted then
    local lost = lost_beside_others(ARGV.reason, held, id, rec[6])
    keep_attempt(id, cjson.encode({attempt = attempt, started = tonumber(rec[7]), ended = now, worker = worker, error = lost}),
      lost.fingerprint, rec[3])
    if is_last then
      terminate({id = id, queue = q, from = 'running', enqueued = rec[3], status = 'dead', result = '', keep = 0,
        kept = tonumber(ARGV.dead_ttl_ms), unique = rec[10], callback = rec[11], fields = {'error', cjson.encode(lost)}})
      emit('dead', id, q, name, nil, attempt)
      dead[#dead + 1] = id
    else
      requeue_lost(id, rec, 'retrying')
    end
  else
    uncount(id)
    requeue_lost(id, rec, 'queued')
  end
  count(is_last and 'dead' or is_counted and 'failed' or 'requeued', name or '<unknown>')
end
redis.call('DEL', 'offload:running:' .. worker, 'offload:worker:' .. worker, 'offload:inbox:' .. worker)
redis.call('ZREM', 'offload:workers', worker)
for _, q in ipairs({'default', unpack(redis.call('SMEMBERS', 'offload:queues'))}) do
  redis.call('ZREM', 'offload:idle:' .. q, worker) -- a wake-up would be lost on a dead worker
end
for q in pairs(touched) do wake(q) end
write_counts()
publish()
return {requeued, dead}
