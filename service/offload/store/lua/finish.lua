#!lua flags=allow-oom
-- Record how attempts ended, all that ended since the last call, each fenced by its claim's token.
-- ARGV: now, worker, then per attempt twelve: id, token, verb (succeeded dead aborted retry requeued), result (arq's bytes
--       or ''), keep ms, record kept ms, due ms (requeued: 0 keeps its place), failed attempt (JSON or ''; dead without
--       one: none was made, and none is counted), function, fields for the record (flat JSON list), error's fingerprint or '', the loop's time or ''.
-- Returns 1 or 0 for each: 0 where another holds the job, or has ended it, and then nothing was written.
-- @include base
-- @include index
-- @include terminal
-- @include attempts
-- @include requeue
-- @include fetch
-- @include counts
-- @include untaken
local worker, written, touched, leases = ARGV[2], {}, {}, {}
for i = 3, #ARGV, 12 do leases[#leases + 1] = 'arq:in-progress:' .. ARGV[i] end
local holders = fetch(leases)

local function finish(i)
  local id, verb, lease = ARGV[i], ARGV[i + 2], 'arq:in-progress:' .. ARGV[i]
  if holders[lease] ~= ARGV[i + 1] and (holders[lease] ~= false or not is_untaken(id, ARGV[i + 1])) then return 0 end
  holders[lease] = nil
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'enqueued', 'attempt', 'due', 'priority', 'unique', 'started', 'callback', 'function')
  local q, enqueued, attempt, fields = rec[1], rec[2], tonumber(rec[3]), fields_of(ARGV[i + 9], ARGV[i + 11])
  if not rec[9] then learn_function(id, ARGV[i + 8], enqueued) end
  keep_attempt(id, ARGV[i + 7], ARGV[i + 10], enqueued)
  forget_lease(id, q, worker)
  touched[q] = touched[q] or verb == 'retry' -- a worker must learn when it is due, else it is late by a poll
  local due = tonumber(ARGV[i + 6])
  if verb == 'retry' or verb == 'requeued' then
    local status = verb == 'retry' and due > now and 'retrying' or 'queued'
    if verb == 'requeued' then -- costs no attempt, and keeps the job's place unless it must wait
      uncount(id)
      if due == 0 then due = tonumber(rec[4]) end
    else
      fields[#fields + 1], fields[#fields + 2] = 'due', due
    end
    requeue({id = id, queue = q, enqueued = enqueued, status = status, due = due, priority = rec[5],
      attempt = attempt, event = verb == 'retry' and 'retrying' or 'queued', fields = fields}, ARGV[i + 8])
    verb = verb == 'retry' and 'failed' or verb
  else
    if verb == 'dead' and ARGV[i + 7] == '' then
      attempt = attempt - 1
      fields[#fields + 1], fields[#fields + 2] = 'attempt', attempt
    end
    terminate({id = id, queue = q, from = 'running', enqueued = enqueued, status = verb, result = ARGV[i + 3],
      keep = tonumber(ARGV[i + 4]), kept = tonumber(ARGV[i + 5]), unique = rec[6], callback = rec[8], fields = fields})
    emit(verb, id, q, ARGV[i + 8], nil, attempt)
  end
  count(verb, ARGV[i + 8], verb == 'succeeded' and now - tonumber(rec[7] or now), ARGV[i + 11])
  return 1
end

for i = 3, #ARGV, 12 do written[#written + 1] = finish(i) end
write_counts()
write_sets()
for q, has_retry in pairs(touched) do
  if has_retry or redis.call('ZCOUNT', queue_key(q), '-inf', now) > 0 then wake(q) end
end
publish()
return written
