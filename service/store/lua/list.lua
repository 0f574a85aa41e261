#!lua flags=allow-oom
-- One step of a list, newest first, from where a cursor stands: jobs that are in each of some lists and in a window of
-- time. It walks the smallest list and looks at a bounded number of candidates; a job keeps its place in every list for
-- as long as it is there, so cursors stay good while jobs move.
-- ARGV: now, how many jobs, how many candidates, 1 to move due jobs to queued first, window in ms ('-inf': from the
--       first; '+inf': to the last, else before), score and id of the cursor ('' at the start), lists (':dead', ':tag:x').
-- Returns {ids, score and id of the cursor to go on from, 1 if there are more candidates}.
-- @include base
-- @include index
local limit, most, from, before, score, last = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local lists, walked, smallest = {}, 1, nil
if ARGV[4] == '1' then promote(1000) end
for i = 9, math.max(9, #ARGV) do
  lists[#lists + 1] = 'offload:jobs' .. (ARGV[i] or '')
  local size = redis.call('ZCOUNT', lists[#lists], from, before == '+inf' and before or '(' .. before)
  if not smallest or size < smallest then walked, smallest = #lists, size end
end
local key = table.remove(lists, walked)

-- Ids of one moment are in the order of their bytes; Lua's own < goes by the locale.
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local rank = before == '+inf' and 0 or redis.call('ZCOUNT', key, before, '+inf')
local stop = redis.call('ZCOUNT', key, from, '+inf')
if score ~= '' then -- past the cursor: found by halving among the jobs of its moment, for its own job may have gone
  local low = redis.call('ZCOUNT', key, '(' .. score, '+inf')
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_less(redis.call('ZREVRANGE', key, middle, middle)[1], last) then high = middle else low = middle + 1 end
  end
  rank = math.max(rank, low)
end

local found, looked = {}, 0
while rank < stop and looked < most and #found < limit do
  local chunk = math.min(#lists == 0 and limit - #found or math.max(limit, 200), most - looked, stop - rank)
  local rows, ids, fits = redis.call('ZREVRANGE', key, rank, rank + chunk - 1, 'WITHSCORES'), {}, {}
  for i = 1, #rows, 2 do ids[#ids + 1] = rows[i] end
  for _, other in ipairs(lists) do
    for i, at in ipairs(redis.call('ZMSCORE', other, unpack(ids))) do fits[i] = fits[i] ~= false and at ~= false end
  end
  for i, id in ipairs(ids) do
    if #found == limit then break end
    if fits[i] ~= false then found[#found + 1] = id end
    rank, looked, last, score = rank + 1, looked + 1, id, rows[2 * i]
  end
end
return {found, score, last, rank < stop and 1 or 0}
