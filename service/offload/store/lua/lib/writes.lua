-- Gathered writes: one call for each sorted set and for all keys that go; `publish` (feed.lua) writes what is gathered.
-- A call costs Redis as much as ten members of one: half of what a job costs.
-- A script that reads a sorted set after writes to it calls `write_sets` first. The last write of a member counts.
-- By key: the number of arguments of the call so far, and these. A set is added to or taken from; before the other, it is written.
local sets = {}
local function gathered(key, verb)
  local one = sets[key]
  if one and one[1] == verb and one.n < 2000 then return one end
  if one then redis.call(unpack(one, 1, one.n)) end
  one = {verb, key, n = 2}
  sets[key] = one
  return one
end
local function put_in(key, score, id)
  local one = gathered(key, 'ZADD')
  local n = one.n
  one[n + 1], one[n + 2], one.n = score, id, n + 2
end
local function take_out(key, id)
  local one = gathered(key, 'ZREM')
  local n = one.n + 1
  one[n], one.n = id, n
end
local function write_sets()
  for _, one in pairs(sets) do redis.call(unpack(one, 1, one.n)) end
  sets = {}
end

local gone = {}
local function drop(...)
  for _, key in ipairs({...}) do gone[#gone + 1] = key end
end
local function drop_keys()
  for first = 1, #gone, 1000 do redis.call('DEL', unpack(gone, first, math.min(first + 999, #gone))) end
  gone = {}
end
