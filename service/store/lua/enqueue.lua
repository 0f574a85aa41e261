-- Put new jobs in, all that one process has waiting in one call, and wake one idle worker a queue.
-- ARGV: now, then for each job: id, queue, due (0: now), payload, how many fields follow, fields of its record.
-- Returns {now, 1 or 0 for each job}: 0 where a job of that id exists already; nothing is changed for that one.
-- @include base
-- @include index
-- @include put
local created, touched, i = {now}, {}, 2
while i < #ARGV do
  local due, width, fields = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 4]), {}
  if due == 0 then due = now end
  for f = 1, width do fields[f] = ARGV[i + 4 + f] end
  local is_new = put(ARGV[i], ARGV[i + 1], due, ARGV[i + 3], fields)
  created[#created + 1] = is_new
  if is_new == 1 then touched[ARGV[i + 1]] = true end
  i = i + 5 + width
end
for q in pairs(touched) do
  redis.call('SADD', 'offload:queues', q)
  wake(q)
end
publish()
return created
