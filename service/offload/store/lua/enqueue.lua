-- Put new jobs in, all that one process has waiting in one call, and wake one idle worker a queue.
-- ARGV: now, then for each job: id, queue, due (0: now), payload, how many fields follow, fields of its record;
--       before the jobs of a request with an idempotency key: '', key (hash), its mark, how many jobs.
-- Returns {now, for each job: 1, 0 where one of that id exists already, or the id of the job that has its unique key; for
-- each '': 1, or 0 where the mark no longer stands}. Nothing is changed for a job that is not 1, nor for those of a mark at 0.
-- @include base
-- @include index
-- @include put
-- @include idempotency
local answers, touched, request, i = {now}, {}, nil, 2

local function put_next(first)
  local due, width, fields = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 4]), {}
  i = first + 5 + width
  if request and not request.stands then return 0 end
  if due == 0 then due = now end
  for f = 1, width do fields[f] = ARGV[first + 4 + f] end
  local answer = put(ARGV[first], ARGV[first + 1], due, ARGV[first + 3], fields)
  if answer == 1 then touched[ARGV[first + 1]] = true end
  return answer
end

while i < #ARGV do
  if ARGV[i] == '' then
    request = open_request(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    answers[#answers + 1], i = request.stands and 1 or 0, i + 4
  else
    local id, answer = ARGV[i], put_next(i)
    answers[#answers + 1] = answer
    if request then remember(request, type(answer) == 'string' and answer or id) end
  end
  if request and request.left == 0 then request = close_request(request) end
end
for q in pairs(touched) do
  redis.call('SADD', 'offload:queues', q)
  wake(q)
end
publish()
return answers
