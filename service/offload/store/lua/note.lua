-- Record the notes of running jobs: progress (the last one counts) and log lines (a bounded list).
-- ARGV: now, lines kept for each job, then for each note a NOTE: id, token, kind ('progress', 'log', or 'begun': it
--       waited, and has a thread or process now), JSON.
-- Returns 1 or 0 for each: 0 if the token is no longer that of the lease.
-- @include base
local written = {}
for i = FIRST, #ARGV, SIZE(NOTE) do
  local id, note = NOTE(i).id, NOTE(i).text
  local ours = redis.call('GET', 'arq:in-progress:' .. id) == NOTE(i).token
  written[#written + 1] = ours and 1 or 0
  if ours and NOTE(i).kind == 'begun' then
    redis.call('HDEL', 'offload:job:' .. id, 'waits_for', 'waits_token')
  elseif ours then
    local said, about = cjson.decode(note), redis.call('HMGET', 'offload:job:' .. id, 'queue', 'function')
    said.queue, said['function'] = about[1] or nil, about[2] or nil -- readers of all events filter by these
    if NOTE(i).kind == 'progress' then
      redis.call('HSET', 'offload:job:' .. id, 'progress', note)
    else
      local log = 'offload:log:' .. id
      redis.call('RPUSH', log, note)
      redis.call('LTRIM', log, -tonumber(ARGV.lines), -1)
      redis.call('EXPIRE', log, 2592000)
    end
    said.event, said.id = NOTE(i).kind, id
    tell(said)
  end
end
publish()
return written
