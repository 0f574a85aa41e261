#!lua flags=allow-oom
-- One step of a list, newest first, from the position of a cursor: jobs that are in each of some lists and in a window
-- of time. It walks the smallest list and looks at a bounded number of candidates; a job keeps its place in every list
-- for as long as it is there, so cursors stay valid while jobs move. Lists that share no job can be walked as one.
-- ARGV: now, the most jobs, the most candidates, 1 to move due jobs to queued first, window in ms ('-inf': from the
--       first; '+inf': to the last, else before), score and id of the cursor ('' at the start), 1 to walk the lists as one, lists ('dead', 'tag:x').
-- Returns {ids, score and id of the cursor to go on from, 1 if there are more candidates}.
-- @include base
-- @include index
-- @include pages
local limit, most, from, before, score, last = tonumber(ARGV.limit), tonumber(ARGV.candidates), ARGV.after, ARGV.before, ARGV.score, ARGV.job_id
local lists, walked, smallest = {}, 1, nil
if ARGV.promotes == '1' then promote(1000) end
for i = FIRST, #ARGV do lists[#lists + 1] = list_of(ARGV[i]) end
if ARGV.is_union == '1' then
  local found, more
  found, score, last, more = merged(lists, math.min(limit, most), from, before, score, last)
  return {found, score, last, more and 1 or 0}
end
for i, key in ipairs(lists) do
  local size = redis.call('ZCOUNT', key, from, before == '+inf' and before or '(' .. before)
  if not smallest or size < smallest then walked, smallest = i, size end
end
local key = table.remove(lists, walked)

local rank, stop = span(key, from, before, score, last)
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
