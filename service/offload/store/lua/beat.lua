#!lua flags=allow-oom
-- Say that a worker is there; its description goes when no beat follows. Let through without memory: who cannot see the
-- workers then takes them for dead.
-- ARGV: now, worker, description (JSON), seconds until it goes. Returns the overrides, flat.
-- @include base
redis.call('ZADD', 'offload:workers', now, ARGV[2])
redis.call('SET', 'offload:worker:' .. ARGV[2], ARGV[3], 'EX', ARGV[4])
return redis.call('HGETALL', 'offload:overrides')
