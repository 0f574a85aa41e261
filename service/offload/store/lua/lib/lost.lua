-- The jobs that a dead worker held, and the entry for an attempt that was lost with it.
local OTHERS = 20 -- are named in each entry
local function held_by(worker)
  local held = {}
  for _, id in ipairs(redis.call('ZRANGE', 'offload:running:' .. worker, 0, -1)) do
    local rec = redis.call('HMGET', 'offload:job:' .. id, 'queue', 'token', 'enqueued', 'attempt', 'max_tries', 'function', 'started', 'due',
      'priority', 'unique', 'callback')
    local is_ours = rec[2] and string.sub(rec[2], 1, #worker + 1) == worker .. ':'
    if is_ours and redis.call('GET', 'arq:in-progress:' .. id) == rec[2] then held[#held + 1] = {id = id, rec = rec} end
  end
  return held
end

local function lost_beside_others(why, held, id, name)
  local others, lost = {}, cjson.decode(why)
  for i = 1, math.min(#held, OTHERS + 1) do
    local one = held[i]
    if one.id ~= id and #others < OTHERS then others[#others + 1] = {id = one.id, ['function'] = one.rec[6] or nil} end
  end
  lost.details, lost.fingerprint = lost.details or {}, lost_fingerprint(name)
  lost.details.also_running_count = #held - 1
  if #others > 0 then lost.details.also_running = others end -- an empty list would come out as {}
  return lost
end
