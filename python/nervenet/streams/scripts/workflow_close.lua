-- SPDX-License-Identifier: Apache-2.0
-- The owner closes a run: entry, state and retention in one, so that no closed workflow stays without end.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head, as in journal_append
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry; id <ms>-<n>, n dense from 1
-- KEYS[3]  nn:<ns>:wf:{<id>}:ckpt      hash: deleted, nobody resumes any more
-- KEYS[4]  nn:<ns>:wf:{<id>}:live      stream
-- KEYS[5]  nn:<ns>:wf:{<id>}:view      string
-- ARGV     run, owner, entry, state, retention in ms, at, note (for lists: where it failed and why; empty when it did not),
--          for how many ms more it waits for the archive ('0' or left out = there is none), '1' = the retention is its definition's own
-- Answers  {status, journal id, owner, run, state}: 'new' · 'closed' it was already (the id of its `close`)
--          · 'not_owner' · 'stale' · 'unknown'
local head = KEYS[1]
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'bytes', 'state', 'e:close')
local run, owner, state = h[1], h[3], h[6]
if not run then
  return {'unknown', '', '', '0', ''}
elseif run ~= ARGV[1] then
  return {'stale', '', owner, run, state}
elseif h[2] then
  return {'closed', h[7] or '', owner, run, state}
elseif owner ~= ARGV[2] then
  return {'not_owner', '', owner, run, state}
end

local t = redis.call('TIME')
local ms, n = string.match(h[4], '^(%d+)-(%d+)$')
local now = t[1] .. string.sub('00000' .. t[2], -6, -4) -- in ms, as text, as in task_complete
now = tonumber(ms) > tonumber(now) and ms or now
local id = string.format('%s-%d', now, n + 1)
redis.call('XADD', KEYS[2], id, 'n', 'close', 'e', ARGV[3])
redis.call('HSET', head, 'state', ARGV[4], 'closed', now, 'last', id,
  'bytes', string.format('%d', h[5] + #ARGV[3]), 'e:close', id, 'at', ARGV[6], 'note', ARGV[7])
-- ± 10 %, so that what was closed together does not expire together; the last digits of the clock are the dice. All
-- keys go in the same millisecond: a head without a journal would read as a lost tail.
local keep = math.floor(ARGV[5] * (0.9 + (t[2] % 1000) / 5000))
local gone = now + math.max(keep, 1)
if (ARGV[8] or '0') ~= '0' then
  -- the archive shortens it to `keep` (run_archived)
  redis.call('HSET', head, 'keep', string.format('%.0f', gone))
  gone = gone + ARGV[8]
end
if ARGV[9] == '1' then
  redis.call('HSET', head, 'retention', ARGV[5])
end
gone = string.format('%.0f', gone)
redis.call('PEXPIREAT', head, gone)
redis.call('PEXPIREAT', KEYS[2], gone)
if redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5]) > 0 then
  redis.call('DEL', KEYS[3])
  redis.call('PEXPIREAT', KEYS[4], gone)
  redis.call('PEXPIREAT', KEYS[5], gone)
end
redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), id)
return {'new', id, owner, run, ARGV[4]}
