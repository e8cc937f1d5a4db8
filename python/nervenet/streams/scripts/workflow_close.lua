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
local now = math.max(t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ms))
local id = string.format('%.0f-%.0f', now, n + 1)
redis.call('XADD', KEYS[2], id, 'n', 'close', 'e', ARGV[3])
redis.call('HSET', head, 'state', ARGV[4], 'closed', string.format('%.0f', now), 'last', id,
  'bytes', string.format('%.0f', h[5] + #ARGV[3]), 'e:close', id, 'at', ARGV[6], 'note', ARGV[7])
redis.call('DEL', KEYS[3])
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
for _, key in ipairs({head, KEYS[2], KEYS[4], KEYS[5]}) do
  redis.call('PEXPIREAT', key, gone)
end
redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), id)
return {'new', id, owner, run, ARGV[4]}
