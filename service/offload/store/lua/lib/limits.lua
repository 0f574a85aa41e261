-- The limits of a queue: pause, jobs at once over the fleet, starts in a window.
-- offload:queue:<q> is a hash {paused, max_running, rate_count, rate_ms}; offload:rate:<q> holds the window's starts.

-- The number of running jobs of the queue. Where a lease is over a stock worker may have ended the job: it is removed.
local function running_on(q)
  redis.call('ZREMRANGEBYSCORE', 'offload:running-on:' .. q, '-inf', now)
  return redis.call('ZCARD', 'offload:running-on:' .. q)
end

local function allowance(q, wanted)
  local limits = redis.call('HMGET', 'offload:queue:' .. q, 'paused', 'max_running', 'rate_count', 'rate_ms')
  if limits[1] == '1' then return 0 end
  local again
  if limits[2] then wanted = math.min(wanted, tonumber(limits[2]) - running_on(q)) end
  if limits[3] then
    local key, window = 'offload:rate:' .. q, tonumber(limits[4])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
    local free = tonumber(limits[3]) - redis.call('ZCARD', key)
    if free < wanted then
      wanted = free
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      if first[2] and redis.call('ZCOUNT', queue_key(q), '-inf', now) > 0 then again = tonumber(first[2]) + window end
    end
  end
  return math.max(wanted, 0), again
end

-- True if the queue runs as many jobs as it may. Pause and rate hold back what starts, not what runs.
local function is_full(q)
  local most = redis.call('HGET', 'offload:queue:' .. q, 'max_running')
  return most and running_on(q) >= tonumber(most)
end

-- Count the starts of this claim against the queue's rate.
local function spend(q, starts)
  if starts == 0 then return end
  local rate = redis.call('HGET', 'offload:queue:' .. q, 'rate_ms')
  if not rate then return end
  local key = 'offload:rate:' .. q
  for _ = 1, starts do redis.call('ZADD', key, now, redis.call('HINCRBY', 'offload:queue:' .. q, 'starts', 1)) end
  redis.call('PEXPIRE', key, rate)
end
