-- One page of jobs, newest first, from where a cursor stands; the jobs may move meanwhile.
-- ARGV: now, status ('' for all), how many, score and id of the cursor ('' for the first page).
-- Returns {ids, score of the last}; times alone move jobs to queued, so those due are moved first.
-- @include base
-- @include index
local status, limit, score, from = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local key = status == '' and 'offload:jobs' or 'offload:jobs:' .. status
promote(1000)
local offset, page, last = 0, {}, ''
if score == '' then score = '+inf' end
if from ~= '' and redis.call('ZSCORE', key, from) == score then
  score, offset, from = '+inf', redis.call('ZREVRANK', key, from) + 1, ''
end
while #page < limit do
  local rows = redis.call('ZREVRANGEBYSCORE', key, score, '-inf', 'WITHSCORES', 'LIMIT', offset, limit)
  for i = 1, #rows, 2 do
    local passed = from ~= '' and rows[i + 1] == score and rows[i] >= from -- ties are listed from the greatest id down
    if not passed and #page < limit then page[#page + 1], last = rows[i], rows[i + 1] end
  end
  if #rows < 2 * limit then break end
  offset = offset + limit
end
return {page, last}
