-- Read all data of jobs; changes nothing.
-- ARGV: ids. Returns for each {record as a flat list, payload, result, failed attempts, log lines}.
local found = {}
for i, id in ipairs(ARGV) do
  found[i] = {
    redis.call('HGETALL', 'offload:job:' .. id),
    redis.call('GET', 'arq:job:' .. id),
    redis.call('GET', 'arq:result:' .. id),
    redis.call('LRANGE', 'offload:attempts:' .. id, 0, -1),
    redis.call('LRANGE', 'offload:log:' .. id, 0, -1),
  }
end
return found
