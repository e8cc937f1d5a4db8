-- SPDX-License-Identifier: Apache-2.0
-- Decides an escalation, once, together with its consequences: if the step has another outcome, no decision is written.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head, as in journal_append
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry; id <ms>-<n>, n dense from 1
-- KEYS[3]  nn:<ns>:wf:{<id>}:ckpt      hash: step → last checkpoint
-- ARGV     run, step, k, owner ('' = anyone), the entries of `decided:<step>#<k>`, `task:<step>` and `cancel`
--          ('' = none: a granted retry leaves the step open)
-- Answers  {status, owner, run, state, id of decided, id of task, id of cancel}
--          'new' · 'exists' it was decided before (with that id) · 'over' the step has an outcome (the second id)
--          · 'not_asked' no such escalation · 'not_owner' · 'stale' · 'closed' · 'unknown'
local head, step = KEYS[1], ARGV[2]
local decided, task = 'decided:' .. step .. '#' .. ARGV[3], 'task:' .. step
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'bytes', 'state', 'e:' .. decided, 'e:' .. task,
  'e:escalated:' .. step .. '#' .. ARGV[3], 'e:cancel')
local run, owner, state = h[1], h[3], h[6]

local function answer(status)
  return {status, owner or '', run or '0', state or '', h[7] or '', h[8] or '', h[10] or ''}
end

if not run then
  return answer('unknown')
elseif run ~= ARGV[1] then
  return {'stale', owner, run, state, '', '', ''}
elseif h[7] then
  return answer('exists')
elseif h[2] then
  return answer('closed')
elseif ARGV[4] ~= '' and ARGV[4] ~= owner then
  return answer('not_owner')
elseif h[8] then
  return answer('over')
elseif not h[9] then
  return answer('not_asked')
end

local t = redis.call('TIME')
local ms, n = string.match(h[4], '^(%d+)-(%d+)$')
ms = math.max(t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ms))
n = tonumber(n)
local bytes, set = tonumber(h[5]), {}

local function append(name, entry)
  n = n + 1
  local id = string.format('%.0f-%.0f', ms, n)
  redis.call('XADD', KEYS[2], id, 'n', name, 'e', entry)
  bytes = bytes + #entry
  set[#set + 1] = 'e:' .. name
  set[#set + 1] = id
  return id
end

h[7] = append(decided, ARGV[5])
if ARGV[7] ~= '' and not h[10] then
  h[10] = append('cancel', ARGV[7]) -- before the outcome: the code must see the cancel, not a failed step
end
if ARGV[6] ~= '' then
  h[8] = append(task, ARGV[6])
end
local last = string.format('%.0f-%.0f', ms, n)
redis.call('HSET', head, 'last', last, 'bytes', string.format('%.0f', bytes), unpack(set))
if h[8] then
  redis.call('HDEL', head, 'c:' .. step)
  redis.call('HDEL', KEYS[3], step)
end
redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), last)
return answer('new')
