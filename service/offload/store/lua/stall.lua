-- Record a stall of an event loop in one step: its entry, its group, the fleet's totals, the mark on its job, the event.
-- ARGV: now, record (JSON), event (JSON), job's id or '', fingerprint, kind, name of its function or route or '-', held ms,
--       process of that loop, '1' where that kind of stall blames somebody. Returns now.
-- @include base
local ENTRIES, GROUPS, COUNTERS, KEPT_S = 1000, 500, 1000, 2592000
local id, fingerprint, kind, held = ARGV.job_id, ARGV.fingerprint, ARGV.kind, tonumber(ARGV.held_ms)

redis.call('XADD', 'offload:stalls', 'MAXLEN', '~', ENTRIES, '*', 'e', ARGV.record)

local function count(name)
  local counter = kind .. ' ' .. name
  local is_known = redis.call('HEXISTS', 'offload:stall-totals', counter) == 1
  if not is_known and redis.call('HLEN', 'offload:stall-totals') >= COUNTERS then counter = kind .. ' other' end
  redis.call('HINCRBY', 'offload:stall-totals', counter, 1)
  redis.call('HINCRBY', 'offload:stall-totals', 'ms ' .. counter, held)
end

local function forget_groups(fingerprints)
  for _, one in ipairs(fingerprints) do
    redis.call('DEL', 'offload:stall:' .. one)
    redis.call('ZREM', 'offload:stall-groups', one)
    redis.call('ZREM', 'offload:stall-seen', one)
  end
end

local function file_under_group()
  local group = 'offload:stall:' .. fingerprint
  local longest = tonumber(redis.call('HGET', group, 'max') or 0)
  redis.call('HSETNX', group, 'first', now)
  redis.call('HSET', group, 'last', now, 'max', math.max(held, longest), 'record', ARGV.record)
  redis.call('HINCRBY', group, 'count', 1)
  redis.call('ZADD', 'offload:stall-groups', redis.call('HINCRBY', group, 'held', held), fingerprint)
  redis.call('ZADD', 'offload:stall-seen', now, fingerprint)
  for _, key in ipairs({group, 'offload:stall-groups', 'offload:stall-seen'}) do redis.call('EXPIRE', key, KEPT_S) end
  forget_groups(redis.call('ZRANGEBYSCORE', 'offload:stall-seen', '-inf', now - KEPT_S * 1000))
  forget_groups(redis.call('ZRANGE', 'offload:stall-seen', 0, -1 - GROUPS))
end

count(ARGV.name)
file_under_group()
redis.call('DEL', 'offload:stalling:' .. ARGV.process)
redis.call('ZREM', 'offload:ongoing', ARGV.process)

local said, record = cjson.decode(ARGV.event), 'offload:job:' .. id
if id ~= '' and redis.call('EXISTS', record) == 1 then
  said.queue = redis.call('HGET', record, 'queue') or nil -- readers of all events filter by it
  if ARGV.blames == '1' then redis.call('HINCRBY', record, 'stalls', 1) end
end
said.event, said.id = 'stalled', id
tell(said)
publish()
return now
