-- The lists of jobs: offload:jobs holds every job, offload:jobs:<status> those of one status, by enqueue time.
local function file_under(id, from, to, enqueued)
  if from == to then return end
  if from then take_out('offload:jobs:' .. from, id) end
  put_in('offload:jobs:' .. to, enqueued, id)
  if from == 'deferred' or from == 'retrying' then take_out('offload:due', id) end
end

-- A stock producer looks at no record, so it may use the id of a job that has ended here. That is a new job:
-- what is kept of the old one goes, and the new one's first attempt, or its end, makes a record of its own.
local function is_over(status) return status == 'succeeded' or status == 'dead' or status == 'aborted' end
local function forget_ended(id, status)
  redis.call('DEL', 'offload:job:' .. id, 'offload:attempts:' .. id, 'offload:log:' .. id)
  redis.call('ZREM', 'offload:expires', id)
  redis.call('ZREM', 'offload:jobs:' .. status, id)
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
  write_sets()
end
