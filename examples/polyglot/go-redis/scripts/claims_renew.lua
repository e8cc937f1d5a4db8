-- SPDX-License-Identifier: Apache-2.0
-- The holder of a claim extends it, and says how far it is. Never creates a claim.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}        head: run, closed, e:attempt:<step>#<n>, c:<step> → claim, as in task_claim
-- KEYS[2]  nn:<ns>:wf:{<id>}:ckpt   hash: step → last checkpoint
-- ARGV     run, step, attempt, agent id, ttl in ms, fraction ('' = as it was), '1' = the handler gave a sign of life,
--          and, only if there is a new one, the checkpoint
-- Answers  1 held, 0 gone: the step is over or given up, the attempt recorded as failed, a higher one claimed, the
--          workflow closed or in another run. That is how a cancel surely reaches the handler.
local head, step, attempt = KEYS[1], ARGV[2], ARGV[3]
local claim = 'c:' .. step
local h = redis.call('HMGET', head, 'run', 'closed', 'e:attempt:' .. step .. '#' .. attempt, claim)
if h[1] ~= ARGV[1] or h[2] or h[3] or not h[4] then
  return 0
end
local n, who, since, beat, fraction = string.match(h[4], '^(%d+) (%S+) (%d+) %d+ (%d+) (%S+)$')
if n ~= attempt or who ~= ARGV[4] then
  return 0
end

local t = redis.call('TIME')
local age = t[1] * 1000 + math.floor(t[2] / 1000) - since
if ARGV[7] == '1' then
  beat = age
end
if ARGV[6] ~= '' then
  fraction = ARGV[6]
end
redis.call('HSET', head, claim,
  string.format('%s %s %s %.0f %.0f %s', n, who, since, age + ARGV[5], beat, fraction))
if ARGV[8] then
  redis.call('HSET', KEYS[2], step, ARGV[8])
end
return 1
