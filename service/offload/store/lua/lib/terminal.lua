-- Ending a job for good: succeeded, dead or aborted. Its lease, queue entry, payload and counters go;
-- its record stays `kept` ms, its result `keep` ms (-1: for ever). A job that did not succeed keeps its payload for a replay.
-- r: {id, queue, from, enqueued, status, result, keep, kept, unique and callback = those fields or false, fields = flat list for the record}
-- @include callback
local has_aborts = redis.call('EXISTS', 'arq:abort') == 1
local function forget_lease(id, q, worker)
  if worker then take_out('offload:running:' .. worker, id) end
  take_out('offload:running-on:' .. q, id)
end

local function terminate(r)
  local record, payload = 'offload:job:' .. r.id, 'arq:job:' .. r.id
  if r.unique then r.kept = math.max(r.kept, leave_unique(r.id, r.unique)) end
  if r.callback then r.kept = math.max(r.kept, CALLBACK_KEPT) end
  local expires = now + r.kept
  if r.status ~= 'succeeded' then
    local body = redis.call('GET', payload)
    if body then redis.call('HSET', record, 'payload', body) end
  end
  redis.call('HSET', record, 'queue', r.queue, 'status', r.status, 'finished', now, 'expires', expires,
    'result_expires', r.keep < 0 and expires or now + r.keep, unpack(r.fields))
  redis.call('PEXPIRE', record, r.kept + 86400000) -- prune takes it out at `expires`; this is the safety net
  put_in('offload:expires', expires, r.id)
  if r.result ~= '' and r.keep > 0 then redis.call('SET', 'arq:result:' .. r.id, r.result, 'PX', r.keep) end
  if r.result ~= '' and r.keep < 0 then redis.call('SET', 'arq:result:' .. r.id, r.result) end -- kept for ever
  drop(payload, 'arq:retry:' .. r.id, 'arq:in-progress:' .. r.id)
  take_out(queue_key(r.queue), r.id)
  if has_aborts then take_out('arq:abort', r.id) end
  file_under(r.id, r.from, r.status, r.enqueued)
  if r.callback then call_back(r) end
end
