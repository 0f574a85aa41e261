-- The feed: events of jobs, few entries of the stream for all of one call. A script that changes jobs ends with `publish`.
local FEED_ENTRIES = 2000
local EVENTS_PER_ENTRY = 100

local feed, told = {}, {}
local function tell(about)
  about.at = now
  feed[#feed + 1], told = about, about
end

-- Add an event of a job. Equal events of several jobs in a row are one entry with their ids: the cost is in the text.
local function emit(event, id, q, name, due, attempt, worker)
  q, name, due = q or nil, name or nil, due or nil
  local ids = not told.id and told.ids -- a note has an id, and `ids` may be a field of its own
  if not ids or #ids == EVENTS_PER_ENTRY or told.event ~= event or told.queue ~= q or told['function'] ~= name or
    told.due ~= due or told.attempt ~= attempt or told.worker ~= worker then
    ids = {}
    tell({event = event, queue = q, ['function'] = name, due = due, attempt = attempt, worker = worker, ids = ids})
  end
  ids[#ids + 1] = id
end

-- Write all events of this call as few entries of the stream, each a JSON list: {"event": …, "ids": […]}, or "id" for a note.
local function publish()
  write_sets()
  drop_keys()
  local part, size = {}, 0
  for i, one in ipairs(feed) do
    part[#part + 1], size = one, size + (one.id and 1 or #one.ids)
    local following = feed[i + 1]
    if not following or size + (following.id and 1 or #following.ids) > EVENTS_PER_ENTRY then
      redis.call('XADD', 'offload:events', 'MAXLEN', '~', FEED_ENTRIES, '*', 'e', cjson.encode(part))
      part, size = {}, 0
    end
  end
end
