-- Begin a request that came with an idempotency key, unless one did before; or free the key.
-- ARGV: now, key (hash), mark (JSON: {fingerprint, owner}), ms until the mark expires; 0: free the key.
-- Returns 'begun', or the value of the key: the mark of a request under way, or {fingerprint, ids} in JSON.
-- @include base
local key = 'offload:idempotency:' .. ARGV.key
local found = redis.call('GET', key)
if ARGV.ttl_ms == '0' then
  if found == ARGV.mark then redis.call('DEL', key) end
elseif not found then
  redis.call('SET', key, ARGV.mark, 'PX', ARGV.ttl_ms)
end
return found or 'begun'
