-- Gathered writes: one call for each sorted set and for all keys that go, few entries for all events. `publish` writes
-- what is gathered; every script ends with it. A call costs Redis as much as ten members of one: half of what a job costs.
-- Who reads a sorted set that may have been written to calls `write_sets` first. The last word on a member counts.
local FEED_ENTRIES = 2000
local EVENTS_PER_ENTRY = 100

local sets = {}
local function put_in(key, score, id)
  if not sets[key] then sets[key] = {} end
  sets[key][id] = score
end
local function take_out(key, id) put_in(key, false, id) end

local function write_set(key, members)
  local adds, rems, a, r = {'ZADD', key}, {'ZREM', key}, 2, 2 -- counted here: the length of a table is a search
  for id, score in pairs(members) do
    if score then
      adds[a + 1], adds[a + 2], a = score, id, a + 2
    else
      rems[r + 1], r = id, r + 1
    end
    if a > 2000 then redis.call(unpack(adds, 1, a)); a = 2 end
    if r > 2000 then redis.call(unpack(rems, 1, r)); r = 2 end
  end
  if a > 2 then redis.call(unpack(adds, 1, a)) end
  if r > 2 then redis.call(unpack(rems, 1, r)) end
end
local function write_sets()
  for key, members in pairs(sets) do write_set(key, members) end
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

local feed = {}
local function emit(name, id, fields)
  fields = fields or {}
  fields.event, fields.id, fields.at = name, id, now
  feed[#feed + 1] = fields
end

-- Write all events of this call as few entries of the stream: {"events": [...]} each.
local function publish()
  write_sets()
  drop_keys()
  for first = 1, #feed, EVENTS_PER_ENTRY do
    local part = {}
    for i = first, math.min(first + EVENTS_PER_ENTRY - 1, #feed) do part[#part + 1] = feed[i] end
    redis.call('XADD', 'offload:events', 'MAXLEN', '~', FEED_ENTRIES, '*', 'e', cjson.encode(part))
  end
end
