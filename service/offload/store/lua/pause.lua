#!lua flags=allow-oom
-- Pause or resume a queue: running jobs are left alone, waiting ones are not started. A second pause keeps the name of
-- the first; resuming wakes an idle worker, which wakes the next while there is more than it can take.
-- ARGV: now, queue, '1' or '0', who. Returns 1 if something changed.
-- @include base
local q, key = ARGV.queue, 'offload:queue:' .. ARGV.queue
local was = redis.call('HGET', key, 'paused') == '1'
if ARGV.is_paused == '1' then
  if was then return 0 end
  redis.call('SADD', 'offload:queues', q)
  redis.call('HSET', key, 'paused', '1', 'paused_by', ARGV.who, 'paused_at', now)
  return 1
end
redis.call('HDEL', key, 'paused', 'paused_by', 'paused_at')
if was then wake(q) end
return was and 1 or 0
