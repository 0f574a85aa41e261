#!lua flags=allow-oom
-- Record the ends of attempts, all since the last call, each fenced by its claim's token.
-- ARGV: now, worker, then for each attempt an END: `verb` is succeeded, dead, aborted, retry or requeued; `result` is in
-- arq's bytes or ''; `due` of 0 keeps the place of a requeued job; `failed_attempt` is JSON or '' (dead without one: no
-- attempt was made, and none is counted); `fields` is a flat JSON list for the record; `loop` is JSON or ''.
-- Returns 1 or 0 for each: 0 if another holds the job, or has ended it, and then nothing was written.
-- @include base
-- @include index
-- @include terminal
-- @include attempts
-- @include requeue
-- @include fetch
-- @include counts
-- @include unclaimed
local worker, written, touched, leases = ARGV.worker, {}, {}, {}
for i = FIRST, #ARGV, SIZE(END) do leases[#leases + 1] = 'arq:in-progress:' .. END(i).id end
local holders = fetch(leases)

local function finish(i)
  local id, verb, lease = END(i).id, END(i).verb, 'arq:in-progress:' .. END(i).id
  if holders[lease] ~= END(i).token and (holders[lease] ~= false or not is_unclaimed(id, END(i).token)) then return 0 end
  holders[lease] = nil
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'enqueued', 'attempt', 'due', 'priority', 'unique', 'started', 'callback', 'function')
  local q, enqueued, attempt, fields = rec[1], rec[2], tonumber(rec[3]), fields_of(END(i).fields, END(i).loop)
  if not rec[9] then learn_function(id, END(i).function, enqueued) end
  keep_attempt(id, END(i).failed_attempt, END(i).fingerprint, enqueued)
  forget_lease(id, q, worker)
  touched[q] = touched[q] or verb == 'retry' -- a worker must learn when it is due, else it is late by a poll
  local due = tonumber(END(i).due)
  if verb == 'retry' or verb == 'requeued' then
    local status = verb == 'retry' and due > now and 'retrying' or 'queued'
    if verb == 'requeued' then -- costs no attempt, and keeps the job's place unless it must wait
      uncount(id)
      if due == 0 then due = tonumber(rec[4]) end
    else
      fields[#fields + 1], fields[#fields + 2] = 'due', due
    end
    requeue({id = id, queue = q, enqueued = enqueued, status = status, due = due, priority = rec[5],
      attempt = attempt, event = verb == 'retry' and 'retrying' or 'queued', fields = fields}, END(i).function)
    verb = verb == 'retry' and 'failed' or verb
  else
    if verb == 'dead' and END(i).failed_attempt == '' then
      attempt = attempt - 1
      fields[#fields + 1], fields[#fields + 2] = 'attempt', attempt
    end
    terminate({id = id, queue = q, from = 'running', enqueued = enqueued, status = verb, result = END(i).result,
      keep = tonumber(END(i).result_ttl_ms), kept = tonumber(END(i).record_ttl_ms), unique = rec[6], callback = rec[8], fields = fields})
    emit(verb, id, q, END(i).function, nil, attempt)
  end
  count(verb, END(i).function, verb == 'succeeded' and now - tonumber(rec[7] or now), tonumber(END(i).over_budget))
  return 1
end

for i = FIRST, #ARGV, SIZE(END) do written[#written + 1] = finish(i) end
write_counts()
write_sets()
for q, has_retry in pairs(touched) do
  if has_retry or redis.call('ZCOUNT', queue_key(q), '-inf', now) > 0 then wake(q) end
end
publish()
return written
