-- SPDX-License-Identifier: Apache-2.0
-- An agent asks whether it may run this attempt of this step.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}        head: run, closed, owner, e:task:<step>, e:attempt:<step>#<n>, and the claim
--                                   c:<step> → '<attempt> <agent> <since> <until> <beat> <fraction>', where since is
--                                   in ms, until and beat in ms after it: so it stays within a listpack's 64 bytes
-- KEYS[2]  nn:<ns>:wf:{<id>}:ckpt   hash: step → last checkpoint
-- ARGV     run, step, attempt, agent id, ttl in ms
-- Answers  {status, owner, checkpoint or nil}
--          'run'      the claim is this agent's, now or already (a repeated request after a lost reply)
--          'done'     the outcome is in the journal: wake the owner again, ack
--          'busy'     another agent holds this attempt, even past its `until`: the owner decides that. Ack, drop
--          'stale'    a higher attempt is claimed, this one is recorded as failed, or the workflow is closed or in
--                     another run: ack, drop
--          'unknown'  no head: keep the entry and ask again
local head, step, attempt, agent = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local claim = 'c:' .. step
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'e:task:' .. step,
  'e:attempt:' .. step .. '#' .. attempt, claim)
local owner, held = h[3], h[6]

if not h[1] then
  return {'unknown', '', false}
elseif h[1] ~= ARGV[1] or h[2] then
  return {'stale', owner, false}
elseif h[4] then
  return {'done', owner, false}
elseif h[5] then
  return {'stale', owner, false}
end

local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6, -4) -- in ms, as text, as in task_complete
local since, rest = now, ' ' .. ARGV[5] .. ' 0 0'
if held then
  local n, who, began, beat, fraction = string.match(held, '^(%d+) (%S+) (%d+) %d+ (%d+) (%S+)$')
  if tonumber(n) > tonumber(attempt) then
    return {'stale', owner, false}
  elseif n == attempt and who ~= agent then
    return {'busy', owner, false}
  elseif n == attempt then
    since, rest = began, string.format(' %.0f %s %s', now - began + ARGV[5], beat, fraction)
  end
end
redis.call('HSET', head, claim, attempt .. ' ' .. agent .. ' ' .. since .. rest)
return {'run', owner, attempt ~= '1' and redis.call('HGET', KEYS[2], step)}
