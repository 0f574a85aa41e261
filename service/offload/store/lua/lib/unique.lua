-- One job at a time for each unique key: offload:unique:<hash> holds its id from its enqueue to its end or, if it has a
-- longer time, until that is over. A record has the hash as `unique` and, where there is a longer time, `unique_until`
-- in ms.
local function unique_key(hash) return 'offload:unique:' .. hash end

-- True if the holder of a key still keeps others out. A job that ends frees its key, unless a stock worker, which knows of
-- no keys, ends it: the queue shows that. A forgotten job, or one that ended and left its id to a new job, holds nothing.
local function holds(id, key)
  write_sets()
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'unique', 'unique_until')
  if not rec[2] then return false end
  return unique_key(rec[2]) == key and (tonumber(rec[3] or 0) > now or redis.call('ZSCORE', queue_key(rec[1]), id) ~= false)
end

-- Give a key to a job. Returns the id of the job that holds it, if one does.
local function take_unique(id, key)
  local holder = redis.call('GET', key)
  if holder and holder ~= id and holds(holder, key) then return holder end
  redis.call('SET', key, id)
end

-- Free the key of a job that ended. Returns the ms from now for which it keeps others out; its record must last as long.
local function leave_unique(id, hash)
  local key = unique_key(hash)
  if redis.call('GET', key) ~= id then return 0 end
  local untill = tonumber(redis.call('HGET', 'offload:job:' .. id, 'unique_until') or 0)
  if untill > now then redis.call('PEXPIRE', key, untill - now + 60000) else drop(key) end -- `holds` knows when
  return math.max(untill - now, 0)
end
