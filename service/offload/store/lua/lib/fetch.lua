-- Read many keys, a thousand a call; returns their values by key, false for a missing key.
local function fetch(names)
  local found = {}
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    for i, value in ipairs(redis.call('MGET', unpack(names, first, last))) do found[names[first + i - 1]] = value end
  end
  return found
end
