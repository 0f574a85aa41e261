-- List a job under an error; its record names the errors that it is listed under, the last 50, by their fingerprints.
local ERRORS, WIDTH = 50, 13
local function file_error(id, fingerprint, enqueued)
  local record = 'offload:job:' .. id
  local known = redis.call('HGET', record, 'errors') or ''
  if string.find(known, fingerprint, 1, true) then return end
  if #known >= ERRORS * WIDTH then
    take_out('offload:jobs:error:' .. string.sub(known, 1, WIDTH - 1), id)
    known = string.sub(known, WIDTH + 1)
  end
  redis.call('HSET', record, 'errors', known .. fingerprint .. ' ')
  put_in('offload:jobs:error:' .. fingerprint, enqueued, id)
end

-- As offload.domain.fingerprints makes it of a WorkerLost.
local function lost_fingerprint(name) return string.sub(redis.sha1hex((name or '') .. '\nWorkerLost\n'), 1, WIDTH - 1) end

-- Keep what went wrong in one attempt; the list lives as long as anything of the job is of use. '' stands for nothing.
local function keep_attempt(id, entry, fingerprint, enqueued)
  if fingerprint ~= '' then file_error(id, fingerprint, enqueued) end
  if entry == '' then return end
  local attempts = 'offload:attempts:' .. id
  redis.call('RPUSH', attempts, entry)
  redis.call('LTRIM', attempts, -50, -1)
  redis.call('EXPIRE', attempts, 2592000)
end

-- The fields that an ending brings for the record, and what the attempt took of the event loop: "total steps longest over", µs.
local function fields_of(given, loop)
  local fields = given ~= '[]' and cjson.decode(given) or {}
  if loop ~= '' then fields[#fields + 1], fields[#fields + 2] = 'loop', loop end
  return fields
end
