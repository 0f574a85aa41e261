-- List a job under an error. The field `errors` of its record is a JSON list of the fingerprints of these errors, the
-- last 50.
local ERRORS = 50
local function file_error(id, fingerprint, enqueued)
  local record = 'offload:job:' .. id
  local errors = cjson.decode(redis.call('HGET', record, 'errors') or '[]')
  for _, known in ipairs(errors) do
    if known == fingerprint then return end
  end
  if #errors >= ERRORS then take_out('offload:jobs:error:' .. table.remove(errors, 1), id) end
  errors[#errors + 1] = fingerprint
  redis.call('HSET', record, 'errors', cjson.encode(errors))
  put_in('offload:jobs:error:' .. fingerprint, enqueued, id)
end

-- As offload.domain.fingerprints makes it of a WorkerLost.
local function lost_fingerprint(name) return string.sub(redis.sha1hex((name or '') .. '\nWorkerLost\n'), 1, 12) end

-- Keep what went wrong in one attempt; the list lives as long as anything of the job is of use. '' means none.
local function keep_attempt(id, entry, fingerprint, enqueued)
  if fingerprint ~= '' then file_error(id, fingerprint, enqueued) end
  if entry == '' then return end
  local attempts = 'offload:attempts:' .. id
  redis.call('RPUSH', attempts, entry)
  redis.call('LTRIM', attempts, -50, -1)
  redis.call('EXPIRE', attempts, 2592000)
end

-- The fields that an ending brings for the record, with the use that the attempt made of the event loop (JSON or '').
local function fields_of(given, loop)
  local fields = given ~= '[]' and cjson.decode(given) or {}
  if loop ~= '' then fields[#fields + 1], fields[#fields + 2] = 'loop', loop end
  return fields
end
