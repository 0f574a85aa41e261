-- The lists of jobs: offload:jobs holds every job, offload:jobs:<status> those of one status, by enqueue time.
local function file_under(id, from, to, enqueued)
  if from == to then return end
  if from then redis.call('ZREM', 'offload:jobs:' .. from, id) end
  redis.call('ZADD', 'offload:jobs:' .. to, enqueued, id)
  if from == 'deferred' or from == 'retrying' then redis.call('ZREM', 'offload:due', id) end
end

-- Time alone makes a deferred or retrying job queued: move those whose time has come, some at a time.
local function promote(limit)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'offload:due', '-inf', now, 'LIMIT', 0, limit)) do
    local rec = redis.call('HMGET', 'offload:job:' .. id, 'status', 'enqueued')
    if rec[1] == 'deferred' or rec[1] == 'retrying' then
      redis.call('HSET', 'offload:job:' .. id, 'status', 'queued')
      file_under(id, rec[1], 'queued', rec[2])
    else
      redis.call('ZREM', 'offload:due', id)
    end
  end
end
