-- Enqueue new jobs, all that wait in one process in one call, and wake one idle worker for each queue.
-- ARGV: now, then for each job a JOB: id, queue, due (0: now), payload, the number of fields, and these fields;
--       before the jobs of a request with an idempotency key a MARK: '', key (hash), its mark, the number of jobs.
-- Returns {now, for each job: 1, 0 if one of that id exists already, or the id of the job that has its unique key; for
-- each '': 1, or 0 if the mark no longer holds}. Nothing is changed for a job that is not 1, nor for those of a mark at 0.
-- @include base
-- @include index
-- @include enqueue_job
-- @include idempotency
local answers, touched, request, i = {now}, {}, nil, FIRST

local function put_next(first)
  local due, width, fields = tonumber(JOB(first).due), tonumber(JOB(first).width), {}
  i = first + SIZE(JOB) + width
  if request and not request.stands then return 0 end
  if due == 0 then due = now end
  for f = 1, width do fields[f] = ARGV[first + SIZE(JOB) - 1 + f] end
  local answer = enqueue_job(JOB(first).id, JOB(first).queue, due, JOB(first).payload, fields)
  if answer == 1 then touched[JOB(first).queue] = true end
  return answer
end

while i < #ARGV do
  if MARK(i).nothing == '' then
    request = open_request(MARK(i).key, MARK(i).value, MARK(i).jobs)
    answers[#answers + 1], i = request.stands and 1 or 0, i + SIZE(MARK)
  else
    local id, answer = JOB(i).id, put_next(i)
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
