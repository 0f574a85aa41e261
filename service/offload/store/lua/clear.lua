#!lua flags=allow-oom
-- Forget the listed stalls and their groups; stalls under way, and the totals of /metrics, stay.
-- ARGV: now. Returns the number of listed stalls.
-- @include base
local listed = redis.call('XLEN', 'offload:stalls')
for _, fingerprint in ipairs(redis.call('ZRANGE', 'offload:stall-seen', 0, -1)) do drop('offload:stall:' .. fingerprint) end
drop('offload:stalls', 'offload:stall-groups', 'offload:stall-seen')
publish()
return listed
