#!lua flags=allow-oom
-- Give a worker the right to run due jobs, for one lease, over its queues in the order given.
-- ARGV: now, worker, sequence of this claim, lease, free slots, default timeout, grace; then for each queue a QUEUE: name,
--       and the most jobs of it that this worker can take.
-- Returns {now, next due ms or -1, 1 if due jobs had to be left, jobs, ids to abort}; a job is
-- {id, queue, attempt, payload or false, enqueued, due, options, function, lost worker or false, to be aborted or not}.
-- A job's score becomes the end of its lease, so the queue is its own lease table: nobody has to recover anything.
-- @include base
-- @include index
-- @include limits
-- @include attempts
-- @include lease
local worker = ARGV.worker
local slots, jobs, next_due, left = tonumber(ARGV.slots), {}, -1, 0
local aborting = redis.call('EXISTS', 'arq:abort') == 1

local function sooner(at)
  if at and (next_due < 0 or at < next_due) then next_due = at end
end

local function claim_from(q, most)
  local key = queue_key(q)
  local allowed, again = allowance(q, math.min(slots, most))
  sooner(again)
  local offset, chunk, taken = 0, math.max(allowed, 10), 0
  while taken < allowed do
    local due = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', offset, chunk)
    for _, id in ipairs(due) do
      if taken == allowed then break end
      local job = take(id, q, key, worker, aborting)
      if job then
        jobs[#jobs + 1], taken = job, taken + 1
      else
        offset = offset + 1 -- a stock worker holds it: step over, it stays in the due range
      end
    end
    write_sets()
    if #due < chunk then break end
  end
  slots = slots - taken
  spend(q, taken)
  if taken == allowed and redis.call('ZCOUNT', key, '-inf', now) > offset then
    left = 1
    if again == nil and allowed == math.min(slots + taken, most) then wake(q) end -- others may have room
  end
  local later = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if later[2] then sooner(tonumber(later[2])) end
end

for i = FIRST, #ARGV, SIZE(QUEUE) do redis.call('ZREM', 'offload:idle:' .. QUEUE(i).name, worker) end
for i = FIRST, #ARGV, SIZE(QUEUE) do claim_from(QUEUE(i).name, tonumber(QUEUE(i).most)) end
if slots > 0 then
  for i = FIRST, #ARGV, SIZE(QUEUE) do redis.call('ZADD', 'offload:idle:' .. QUEUE(i).name, now, worker) end
end
add_payloads(jobs)
publish()
return {now, next_due, left, jobs, aborting and aborts(worker) or {}}
