#!lua flags=allow-oom
-- Note that a worker is alive, and when, by the clock of Redis; its description expires without a further heartbeat.
-- Let through without memory: a worker that cannot be seen is taken for dead.
-- `now` of 0: the time of Redis; `description` is a JSON object with one field or more, which expires after `ttl_s`.
-- Returns the overrides, flat.
-- @include base
redis.call('ZADD', 'offload:workers', now, ARGV.worker)
local description = string.format('{"beat":%.0f,', now) .. string.sub(ARGV.description, 2)
redis.call('SET', 'offload:worker:' .. ARGV.worker, description, 'EX', ARGV.ttl_s)
return redis.call('HGETALL', 'offload:overrides')
