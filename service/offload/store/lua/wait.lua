#!lua flags=allow-oom
-- Record that a claimed job waits in its worker for a thread or process, and let its lease be renewed meanwhile.
-- ARGV: now, worker, id, token, 'thread' or 'process', until when it may wait. Returns 1, or 0 if the token is
-- no longer that of the lease. `note.lua` removes it when the job begins; the token tells it from an earlier attempt's.
-- @include base
local id, token = ARGV.job_id, ARGV.token
if redis.call('GET', 'arq:in-progress:' .. id) ~= token then return 0 end
redis.call('ZADD', 'offload:running:' .. ARGV.worker, 'XX', ARGV.until_ms, id)
redis.call('HSET', 'offload:job:' .. id, 'waits_for', ARGV.place, 'waits_token', token)
return 1
