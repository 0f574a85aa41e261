#!lua flags=allow-oom
-- Say that a claimed job waits in its worker for a free thread or process, and let its lease be renewed meanwhile.
-- ARGV: now, worker, id, token, 'thread' or 'process', until when it may wait. Returns 1, or 0 where the token no
-- longer stands. `note.lua` takes the word back when it begins; the token tells one of an earlier attempt.
-- @include base
local id, token = ARGV.job_id, ARGV.token
if redis.call('GET', 'arq:in-progress:' .. id) ~= token then return 0 end
redis.call('ZADD', 'offload:running:' .. ARGV.worker, 'XX', ARGV.until_ms, id)
redis.call('HSET', 'offload:job:' .. id, 'waits_for', ARGV.place, 'waits_token', token)
return 1
