-- SPDX-License-Identifier: Apache-2.0
-- Appends one entry under its name, once: the first writer wins, everybody learns who owns the workflow now.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head: run, closed, owner, last, bytes, state, watch_until, suppressed,
--                                      e:<entry name> → journal id, c:<step> → claim
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry; id <ms>-<n>, n dense from 1
-- KEYS[3]  nn:<ns>:wf:{<id>}:ckpt      hash: step → last checkpoint
-- ARGV     run, entry name, entry, owner ('' = taken from anyone)
-- Answers  {status, journal id, owner, run, state}
--          'new'        appended; an outcome (`task:<step>`) took the step's claim and checkpoint with it
--          'exists'     the name is taken; an `attempt:<step>#<n>` also by the outcome of its step (then its id)
--          'not_owner'  an owner's entry, and the owner is another by now
--          'stale'      another run by now
--          'closed'     nothing is appended any more (the id is that of the name, if it got in before)
--          'unknown'    no head: says nothing about whether the workflow ever was
local head, name, by = KEYS[1], ARGV[2], ARGV[4]
local marker = 'e:' .. name
local outcome = string.match(name, '^attempt:(.*)#%d+$')
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'bytes', 'state', 'watch_until', marker,
  outcome and 'e:task:' .. outcome or marker)
local run, owner, last, state, there = h[1], h[3], h[4], h[6], h[8] or h[9]

if not run then
  return {'unknown', '', '', '0', ''}
elseif run ~= ARGV[1] then
  return {'stale', '', owner, run, state}
elseif h[2] then
  return {'closed', there or '', owner, run, state}
elseif by ~= '' and by ~= owner then
  return {'not_owner', there or '', owner, run, state}
end

local step = string.match(name, '^task:(.*)$')
if there then
  if by == '' and (step or outcome) then
    -- a full Redis may refuse to count, the answer stands all the same
    redis.pcall('HINCRBY', head, 'suppressed', 1)
  end
  return {'exists', there, owner, run, state}
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ms, n = string.match(last, '^(%d+)-(%d+)$')
local id = string.format('%.0f-%.0f', math.max(now, tonumber(ms)), n + 1)
redis.call('XADD', KEYS[2], id, 'n', name, 'e', ARGV[3])
redis.call('HSET', head, 'last', id, 'bytes', string.format('%.0f', h[5] + #ARGV[3]), marker, id)
if step then
  redis.call('HDEL', head, 'c:' .. step)
  redis.call('HDEL', KEYS[3], step)
end
if (h[7] and tonumber(h[7]) > now) or string.sub(name, 1, 10) == 'escalated:' then
  redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), id)
end
return {'new', id, owner, run, state}
