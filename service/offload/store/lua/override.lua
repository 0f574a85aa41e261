#!lua flags=allow-oom
-- Set or remove the place where a job function runs, and notify every live worker; running jobs are left alone.
-- ARGV: now, function, 'thread', 'process' or '', who. Returns 1 if something changed.
-- @include base
local overrides, name, place = 'offload:overrides', ARGV.function, ARGV.place
local was = redis.call('HGET', overrides, name)
if place == '' then
  if redis.call('HDEL', overrides, name) == 0 then return 0 end
else
  if was and cjson.decode(was).runs_in == place then return 0 end -- the first to set it stays on record
  redis.call('HSET', overrides, name, cjson.encode({runs_in = place, by = ARGV.who, at = now}))
end
for _, worker in ipairs(redis.call('ZRANGE', 'offload:workers', 0, -1)) do post(worker, 'overrides') end
return 1
