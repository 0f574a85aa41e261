-- True if no worker took a job since a claim, though its lease ran out while Redis was unavailable: its end counts then.
local function is_unclaimed(id, token)
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'token', 'status', 'queue')
  return rec[1] == token and rec[2] == 'running' and redis.call('ZSCORE', queue_key(rec[3]), id)
end
