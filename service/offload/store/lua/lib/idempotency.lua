-- The jobs of a request that came with an idempotency key: enqueued once, and remembered by their ids for a day.
-- offload:idempotency:<hash> is JSON: {fingerprint, owner} while the request is under way, {fingerprint, ids} then.
local function open_request(hash, mark, count)
  local key = 'offload:idempotency:' .. hash
  return {key = key, mark = mark, left = tonumber(count), ids = {}, stands = redis.call('GET', key) == mark}
end

local function remember(request, id)
  request.ids[#request.ids + 1], request.left = id, request.left - 1
end

local function close_request(request)
  local ids = #request.ids > 0 and cjson.encode(request.ids) or '[]'
  local known = string.format('{"fingerprint":%s,"ids":%s}', cjson.encode(cjson.decode(request.mark).fingerprint), ids)
  if request.stands then redis.call('SET', request.key, known, 'EX', 86400) end
end
