-- Shared by every script: the time, the names of keys, waking a worker, the feed.
-- ARGV.now is the time in ms, or 0 for the server's own clock: one clock for the whole fleet.
local now = tonumber(ARGV.now)
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end

local STALE_IDLE_MS = 5000 -- an idle worker notes itself at each poll; an older note is a dead worker's

-- Names of keys that recur in a call are made once: Lua makes a string anew for each `..`.
local function named(name_of)
  local known = {}
  return function(what)
    local key = known[what]
    if not key then
      key = name_of(what)
      known[what] = key
    end
    return key
  end
end
local queue_key = named(function(q)
  if q == 'default' then return 'arq:queue' end
  if string.sub(q, 1, 1) == '=' then return string.sub(q, 2) end -- a stock queue with a name of its own
  return 'arq:queue:' .. q
end)
local list_of = named(function(what) return 'offload:jobs:' .. what end) -- a status, or 'tag:x' …
local list_of_queue = named(function(q) return 'offload:jobs:queue:' .. q end)
local list_of_function = named(function(name) return 'offload:jobs:function:' .. name end)

-- A job's place in its queue is its due time; one that is due stands before all of a lower priority, 0 to 9. Stock
-- workers take jobs in the same order, and a job for later has the place that they and arq's Job know: its due time.
-- BAND, from domain/queues.py, is the distance between two priorities in ms.
local function place(due, priority) return due <= now and due - tonumber(priority or 0) * BAND or due end
local function due_of(score) return tonumber(score) < 0 and tonumber(score) % BAND or tonumber(score) end

local function post(worker, message)
  local inbox = 'offload:inbox:' .. worker
  redis.call('RPUSH', inbox, message)
  redis.call('EXPIRE', inbox, 60)
end

-- Tell a worker that it lost a lease; the time tells it from a lease that the same worker may have got since.
local function post_lost(worker, id) post(worker, string.format('lost %.0f ', now) .. id) end

-- Wake one worker that noted itself idle on the queue, the latest to do so.
local function wake(q)
  while true do
    local idle = redis.call('ZPOPMAX', 'offload:idle:' .. q)
    if not idle[1] then return end
    if tonumber(idle[2]) >= now - STALE_IDLE_MS then return post(idle[1], 'wake') end
  end
end

-- @include writes
-- @include feed
