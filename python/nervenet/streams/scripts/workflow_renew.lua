-- SPDX-License-Identifier: Apache-2.0
-- Begins the next run of a workflow in one step: the journal, its markers and its claims are deleted, unread entries are
-- kept, and n continues to rise, so that a reader that counts entries never sees a number twice.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head, as in journal_append
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry; id <ms>-<n>
-- KEYS[3]  nn:<ns>:wf:{<id>}:ckpt      hash: deleted
-- KEYS[4]  nn:<ns>:wf:{<id>}:live      stream: deleted
-- KEYS[5]  nn:<ns>:wf:{<id>}:run:<n>           copy of the head of a closed run that waits for the archive
-- KEYS[6]  nn:<ns>:wf:{<id>}:run:<n>:journal   and of its journal; n is the run that ends
-- ARGV     run that ends, owner ('' = a closed run is begun again, by anyone), next owner, not_after ms (0 = at any time),
--          `start` entry of the next run, id of the last entry that was folded, how many unread entries, their ids, then
--          head fields and values in pairs (definition, version, python)
-- Answers  {status, journal id of `start`, owner, run, state}: 'new' · 'stale' it has begun already (the id is '')
--          · 'not_owner' · 'closed' · 'exists' it is not closed, and was to begin again · 'expired' past its date
--          · 'unknown'
--
-- What was appended behind the last folded entry is unread too, if it came from outside: a signal, a cancel.
local head, journal = KEYS[1], KEYS[2]
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'state', 'keep', 'archived')
local run, owner, last, state = h[1], h[3], h[4], h[5]
if not run then
  return {'unknown', '', '', '0', ''}
elseif run ~= ARGV[1] then
  return {'stale', '', owner, run, state}
elseif h[2] and ARGV[2] ~= '' then
  return {'closed', '', owner, run, state}
elseif ARGV[2] == '' and not h[2] then
  return {'exists', '', owner, run, state}
elseif ARGV[2] ~= '' and owner ~= ARGV[2] then
  return {'not_owner', '', owner, run, state}
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[4] ~= '0' and now > tonumber(ARGV[4]) then
  return {'expired', '', owner, run, state}
end

if h[2] and h[6] and not h[7] then -- with the time to live that they have
  redis.call('COPY', head, KEYS[5], 'REPLACE')
  redis.call('COPY', journal, KEYS[6], 'REPLACE')
end

local kept, unread = {}, tonumber(ARGV[7])
for i = 8, 7 + unread do
  local found = redis.call('XRANGE', journal, ARGV[i], ARGV[i])
  kept[#kept + 1] = found[1]
end
for _, entry in ipairs(redis.call('XRANGE', journal, '(' .. ARGV[6], '+')) do
  if entry[2][2] == 'cancel' or string.sub(entry[2][2], 1, 7) == 'signal:' then
    kept[#kept + 1] = entry
  end
end

local ms, n = string.match(last, '^(%d+)-(%d+)$')
now = math.max(now, tonumber(ms))
local at = tonumber(n) + 1
local start = string.format('%.0f-%.0f', now, at)
local bytes = #ARGV[5]

redis.call('XADD', journal, start, 'n', 'start', 'e', ARGV[5])
redis.call('XTRIM', journal, 'MINID', start)
redis.call('PERSIST', head)
redis.call('PERSIST', journal)
local gone = {'closed', 'at', 'note', 'blocked', 'adoptions', 'adopted_at', 'keep', 'archived', 'retention'}
for _, field in ipairs(redis.call('HKEYS', head)) do
  local kind = string.sub(field, 1, 2)
  if kind == 'e:' or kind == 'c:' then
    gone[#gone + 1] = field
  end
end
for from = 1, #gone, 1000 do
  redis.call('HDEL', head, unpack(gone, from, math.min(from + 999, #gone)))
end
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('HSET', head, 'e:start', start, unpack(ARGV, 8 + unread))
last = start
for _, entry in ipairs(kept) do
  at = at + 1
  last = string.format('%.0f-%.0f', now, at)
  bytes = bytes + #entry[2][4]
  redis.call('XADD', journal, last, 'n', entry[2][2], 'e', entry[2][4])
  redis.call('HSET', head, 'e:' .. entry[2][2], last)
end
local next_run = string.format('%.0f', run + 1)
redis.call('HSET', head, 'run', next_run, 'owner', ARGV[3], 'state', 'RUNNING', 'last', last,
  'bytes', string.format('%.0f', bytes))
redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), last)
return {'new', start, ARGV[3], next_run, 'RUNNING'}
