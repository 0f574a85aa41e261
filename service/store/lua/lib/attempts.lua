-- Keep what went wrong in one attempt; the list lives as long as anything of the job is of use.
local function keep_attempt(id, entry)
  local attempts = 'offload:attempts:' .. id
  redis.call('RPUSH', attempts, entry)
  redis.call('LTRIM', attempts, -50, -1)
  redis.call('EXPIRE', attempts, 2592000)
end
