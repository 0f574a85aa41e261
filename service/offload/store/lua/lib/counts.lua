-- Counters by function: how attempts ended, for how many ms those that succeeded ran, and how many of their steps were
-- over the loop budget. They are gathered; `write_counts` adds them to the minute, to the hour, and to totals that are
-- never reset and have at most MOST_TOTALS counters.
local MOST_TOTALS = 5000
local counts = {}
local function add(counter, n) counts[counter] = (counts[counter] or 0) + n end
local function count(ending, name, ran_ms, over)
  if over and over > 0 then add('over ' .. name, over) end
  add(ending .. ' ' .. name, 1)
  if ran_ms then add('ms ' .. name, ran_ms) end
end

-- Returns the counters that were not there before. A key's time to live is set with its first ones: its name is a time.
local function write_to(key, ttl)
  local fresh = {}
  for counter, n in pairs(counts) do
    if redis.call('HINCRBY', key, counter, n) == n then fresh[#fresh + 1] = counter end
  end
  if ttl and #fresh > 0 then redis.call('EXPIRE', key, ttl) end
  return fresh
end

local function write_counts()
  if not next(counts) then return end
  write_to(string.format('offload:minute:%d', math.floor(now / 60000)), 7200)
  write_to(string.format('offload:counts:%d', math.floor(now / 3600000)), 172800)
  for _, counter in ipairs(write_to('offload:totals')) do
    if redis.call('HLEN', 'offload:totals') > MOST_TOTALS then redis.call('HDEL', 'offload:totals', counter) end
  end
end
