-- Fire one tick of a schedule, exactly once over any number of workers: the first to bring the tick's time wins.
-- ARGV: now, schedule, the tick's time ms, the next tick's time ms, job id, queue, payload, then fields of the record.
-- A schedule not seen before is only recorded. A tick's time of 0 fires one now, paused or not, besides those of the plan.
-- Returns {1 if this call fired, the time of the tick to come, paused or not, now}.
-- @include base
-- @include index
-- @include enqueue_job
local key, at, following = 'offload:schedule:' .. ARGV.schedule, tonumber(ARGV.at_ms), ARGV.following_ms
local state = redis.call('HMGET', key, 'next', 'paused')
local by_hand = at == 0
if not state[1] and not by_hand then
  redis.call('HSET', key, 'next', at)
  redis.call('SADD', 'offload:schedules', ARGV.schedule)
  return {0, at, 0, now}
end
if not by_hand then
  if tonumber(state[1]) ~= at or at > now then return {0, tonumber(state[1]), tonumber(state[2] or 0), now} end
  redis.call('HSET', key, 'next', following)
  if state[2] == '1' then return {0, tonumber(following), 1, now} end
end
local fields = {}
for i = FIRST, #ARGV do fields[#fields + 1] = ARGV[i] end
local fired = enqueue_job(ARGV.job_id, ARGV.queue, now, ARGV.payload, fields)
redis.call('HSET', key, 'last', by_hand and now or at, 'last_job', ARGV.job_id)
if by_hand then redis.call('SADD', 'offload:schedules', ARGV.schedule) end
redis.call('SADD', 'offload:queues', ARGV.queue)
wake(ARGV.queue)
publish()
return {fired, tonumber(following), 0, now}
