#!lua flags=allow-oom
-- Forget jobs that have ended: record, lists, failed attempts, log lines and result go.
-- ARGV: now, ids. Returns for each 'forgotten', 'unknown', or the status of one that has not ended; that one stays.
-- @include base
-- @include index
-- @include unique
local said = {}
for i = FIRST, #ARGV do
  local id = ARGV[i]
  local rec = redis.call('HMGET', 'offload:job:' .. id, 'status', 'queue', 'unique')
  local is_queued = rec[2] and redis.call('ZSCORE', queue_key(rec[2]), id)
  if is_queued or redis.call('EXISTS', 'arq:job:' .. id) == 1 then -- maybe of a stock producer that used the id again
    said[#said + 1] = rec[1] and not is_over(rec[1]) and rec[1] or 'queued'
  elseif rec[1] or redis.call('EXISTS', 'arq:result:' .. id) == 1 then -- a stock worker that ends a job writes no status
    if rec[3] and not is_over(rec[1]) then leave_unique(id, rec[3]) end
    forget(id)
    drop('arq:result:' .. id, 'arq:retry:' .. id)
    said[#said + 1] = 'forgotten'
  else
    said[#said + 1] = 'unknown'
  end
end
publish()
return said
