-- How often attempts ended how, by function and hour: gathered, and written by `write_counts`.
local counts = {}
local function count(ending, name)
  local counter = ending .. ' ' .. name
  counts[counter] = (counts[counter] or 0) + 1
end

local function write_counts()
  if not next(counts) then return end
  local hour = string.format('offload:counts:%d', math.floor(now / 3600000))
  for counter, n in pairs(counts) do redis.call('HINCRBY', hour, counter, n) end
  redis.call('EXPIRE', hour, 172800)
end
