#!lua flags=allow-oom
-- Note that a worker is alive, and when, by the clock of Redis; its description goes when no heartbeat follows. Let
-- through without memory: a worker that cannot be seen is taken for dead.
-- ARGV: now, worker, description (a JSON object with one field or more), seconds until it goes.
-- Returns the overrides, flat.
-- @include base
redis.call('ZADD', 'offload:workers', now, ARGV[2])
local description = string.format('{"beat":%.0f,', now) .. string.sub(ARGV[3], 2)
redis.call('SET', 'offload:worker:' .. ARGV[2], description, 'EX', ARGV[4])
return redis.call('HGETALL', 'offload:overrides')
