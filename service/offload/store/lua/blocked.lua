-- Record a stall under way; the record expires unless another call follows.
-- ARGV: now, record (JSON), event (JSON; '' where the feed has it already), job's id or '', process of that loop,
--       held ms so far, seconds until it goes. Returns now.
-- @include base
local id, process, ttl = ARGV.job_id, ARGV.process, tonumber(ARGV.ttl_s)
local since = string.format('%.0f', now - tonumber(ARGV.held_ms))
redis.call('SET', 'offload:stalling:' .. process, '{"since":' .. since .. ',"stall":' .. ARGV.record .. '}', 'EX', ttl)
redis.call('ZREMRANGEBYSCORE', 'offload:ongoing', '-inf', now)
redis.call('ZADD', 'offload:ongoing', now + ttl * 1000, process)
redis.call('EXPIRE', 'offload:ongoing', 3600)
if ARGV.event ~= '' then
  local said = cjson.decode(ARGV.event)
  if id ~= '' then said.queue = redis.call('HGET', 'offload:job:' .. id, 'queue') or nil end
  said.event, said.id = 'blocked', id
  tell(said)
end
publish()
return now
