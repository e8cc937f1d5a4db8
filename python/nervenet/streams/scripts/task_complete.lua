-- SPDX-License-Identifier: Apache-2.0
-- Appends what an attempt ended with, as journal_append does, wakes the owner with it, and drops the delivery that it came with,
-- in one step. For one server only: wake and delivery are in other slots.
--
-- KEYS[1..3]  head, journal and checkpoints, as in journal_append
-- KEYS[4]  nn:<ns>:wake:{<node>}       of the node that sent the task (the envelope's reply_to)
-- KEYS[5]  the inbox or queue that the task was read from, only where its delivery may be dropped here
-- ARGV     run, entry name (`task:<step>` or `attempt:<step>#<n>`), entry, workflow id, that node; with KEYS[5] the consumer group
--          and the delivery's id in that stream
-- Answers  {status, journal id, owner, run, state, woken, dropped}: the first five as journal_append, which see
--          woken '1': the owner has the entry in its wake; '0': the caller wakes it, because it is another node by now, its
--          wake is gone, or the wake could not be written (the entry is recorded all the same)
--          dropped '1': the delivery is deleted and acknowledged; never without woken
local head, name = KEYS[1], ARGV[2]
local marker = 'e:' .. name
local outcome = string.match(name, '^attempt:(.*)#%d+$')
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'bytes', 'state', 'watch_until', marker,
  outcome and 'e:task:' .. outcome or marker)
local run, owner, last, state, there = h[1], h[3], h[4], h[6], h[8] or h[9]

if not run then
  return {'unknown', '', '', '0', '', '0', '0'}
elseif run ~= ARGV[1] then
  return {'stale', '', owner, run, state, '0', '0'}
elseif h[2] then
  return {'closed', there or '', owner, run, state, '0', '0'}
elseif there then
  -- a full Redis may refuse to count, the answer stands all the same
  redis.pcall('HINCRBY', head, 'suppressed', 1)
  return {'exists', there, owner, run, state, '0', '0'}
end

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ms, n = string.match(last, '^(%d+)-(%d+)$')
local id = string.format('%.0f-%.0f', math.max(now, tonumber(ms)), n + 1)
redis.call('XADD', KEYS[2], id, 'n', name, 'e', ARGV[3])
redis.call('HSET', head, 'last', id, 'bytes', string.format('%.0f', h[5] + #ARGV[3]), marker, id)
if not outcome then
  local step = string.sub(name, 6)
  redis.call('HDEL', head, 'c:' .. step)
  redis.call('HDEL', KEYS[3], step)
end
if h[7] and tonumber(h[7]) > now then
  redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), id)
end

local woken = false
if owner == ARGV[5] then
  if #ARGV[3] <= 8192 then
    woken = redis.pcall('XADD', KEYS[4], 'NOMKSTREAM', '*', 'w', ARGV[4], 'r', run, 'i', id, 'n', name, 'e', ARGV[3])
  else
    woken = redis.pcall('XADD', KEYS[4], 'NOMKSTREAM', '*', 'w', ARGV[4], 'r', run, 'i', id, 'n', name)
  end
end
woken = type(woken) == 'string'

local dropped = false
if woken and KEYS[5] then
  redis.pcall('XDEL', KEYS[5], ARGV[7])
  dropped = type(redis.pcall('XACK', KEYS[5], ARGV[6], ARGV[7])) == 'number'
end
return {'new', id, owner, run, state, woken and '1' or '0', dropped and '1' or '0'}
