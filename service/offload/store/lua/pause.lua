#!lua flags=allow-oom
-- Pause a queue or let it go on: what runs is left alone, what waits is not started. Pausing what is paused keeps who
-- did it first; going on wakes an idle worker at once, which wakes the next while there is more than it can take.
-- ARGV: now, queue, '1' or '0', who. Returns 1 where that changed something.
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
