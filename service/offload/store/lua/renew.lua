#!lua flags=allow-oom
-- Extend every lease that one worker still holds, never past a job's own deadline; called by its guardian.
-- ARGV: now, worker, lease ms. Returns {ids lost, ids past their deadline, ms until the next job's is or -1}; the worker
-- gets a message for each lost one. A lease that ran out, while Redis was unavailable, and that no worker took since is
-- renewed too, unless another job has taken its place in max_running.
-- @include base
-- @include limits
local worker, lease = ARGV.worker, tonumber(ARGV.lease_ms)
local running = 'offload:running:' .. worker
local lost, overdue, left = {}, {}, -1
local held = redis.call('ZRANGE', running, 0, -1, 'WITHSCORES') -- by their deadlines
for i = 1, #held, 2 do
  local id, deadline = held[i], tonumber(held[i + 1])
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'token', 'status')
  local token = redis.call('GET', 'arq:in-progress:' .. id)
  local key = rec[1] and queue_key(rec[1])
  local ours = rec[2] and string.sub(rec[2], 1, #worker + 1) == worker .. ':' and rec[3] == 'running'
  local is_late = ours and not token and deadline >= now
  if not ours or (token and token ~= rec[2]) or not redis.call('ZSCORE', key, id) or (is_late and is_full(rec[1])) then
    redis.call('ZREM', running, id)
    lost[#lost + 1] = id
    post_lost(worker, id)
  elseif deadline < now then
    overdue[#overdue + 1] = id
  else
    if left < 0 then left = deadline - now end
    redis.call('SET', 'arq:in-progress:' .. id, rec[2], 'PX', lease)
    redis.call('ZADD', key, now + lease, id)
    redis.call('ZADD', 'offload:running-on:' .. rec[1], now + lease, id)
  end
end
return {lost, overdue, left}
