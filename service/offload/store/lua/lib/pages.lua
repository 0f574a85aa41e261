-- Walking lists of jobs from the newest on, from the position of a cursor, within a window of time.

-- True if one job comes after another of the same ms. Redis orders bytes; Lua's own < goes by the locale.
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Returns the ranks, counted from the newest, at which a walk of a list begins and before which it ends.
local function span(key, from, before, score, last)
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
  return rank, stop
end

-- Walk several lists that share no job as if they were one. Returns the ids of up to `limit` jobs, the score and the id
-- of the last one, and whether there are more.
local function merged(keys, limit, from, before, score, last)
  local heads, found = {}, {}
  for _, key in ipairs(keys) do
    local rank, stop = span(key, from, before, score, last)
    if rank < stop then -- one more than may be needed: it tells whether there are more
      local rows = redis.call('ZREVRANGE', key, rank, math.min(rank + limit, stop - 1), 'WITHSCORES')
      heads[#heads + 1] = {rows = rows, at = 1}
    end
  end
  while #heads > 0 and #found < limit do
    local newest = 1
    for h = 2, #heads do
      local one, best = heads[h], heads[newest]
      local a, b = tonumber(one.rows[one.at + 1]), tonumber(best.rows[best.at + 1])
      if a > b or (a == b and is_less(best.rows[best.at], one.rows[one.at])) then newest = h end
    end
    local head = heads[newest]
    last, score, head.at = head.rows[head.at], head.rows[head.at + 1], head.at + 2
    found[#found + 1] = last
    if head.at > #head.rows then table.remove(heads, newest) end
  end
  return found, score, last, #heads > 0
end
