-- Begin a request that came with an idempotency key, unless one did before; or give the key up.
-- ARGV: now, key (hash), mark (JSON: {fingerprint, owner}), ms for which the mark stands by itself; 0: give the key up.
-- Returns 'begun', or the value of the key: the mark of a request under way, or {fingerprint, ids} in JSON.
-- @include base
local key = 'offload:idempotency:' .. ARGV[2]
local found = redis.call('GET', key)
if ARGV[4] == '0' then
  if found == ARGV[3] then redis.call('DEL', key) end
elseif not found then
  redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
end
return found or 'begun'
