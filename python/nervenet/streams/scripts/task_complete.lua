-- SPDX-License-Identifier: Apache-2.0
-- Appends what an attempt ended with, as journal_append does, wakes the owner with it, and drops the delivery that it came with,
-- in one step. For one server only: wake and delivery are in other slots.
--
-- KEYS[1..3]  head, journal and checkpoints, as in journal_append
-- KEYS[4]  nn:<ns>:wake:{<node>}       of the node that sent the task (the envelope's reply_to)
-- KEYS[5]  the inbox or queue that the task was read from, only where its delivery may be dropped here
-- ARGV     run, entry name (`task:<step>` or `attempt:<step>#<n>`), entry, workflow id, that node, '1' = the step may have a checkpoint;
--          with KEYS[5] the consumer group and the delivery's id in that stream
-- Answers  {journal id}: appended, and the owner has the entry in its wake · {journal id, '1'}: the delivery is deleted and acknowledged, too
--          {status, journal id, owner, run, state} as journal_append, which see: not appended, or appended and the caller wakes the owner,
--          because it is another node by now, its wake is gone, or the wake could not be written (the entry is recorded all the same)
--
-- What a script answers costs half a microsecond a value, and a number that it formats costs more. So the usual answer is short, and
-- milliseconds stay text.
local head, name = KEYS[1], ARGV[2]
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
elseif there then
  -- a full Redis may refuse to count, the answer stands all the same
  redis.pcall('HINCRBY', head, 'suppressed', 1)
  return {'exists', there, owner, run, state}
end

local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6, -4)
local ms, n = string.match(last, '^(%d+)-(%d+)$')
local id = (tonumber(ms) > tonumber(now) and ms or now) .. '-' .. n + 1
redis.call('XADD', KEYS[2], id, 'n', name, 'e', ARGV[3])
redis.call('HSET', head, 'last', id, 'bytes', h[5] + #ARGV[3], marker, id)
if not outcome then
  local step = string.sub(name, 6)
  redis.call('HDEL', head, 'c:' .. step)
  if ARGV[6] == '1' then
    redis.call('HDEL', KEYS[3], step)
  end
end
if h[7] and tonumber(h[7]) > tonumber(now) then
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
if type(woken) ~= 'string' then
  return {'new', id, owner, run, state}
end

if KEYS[5] then
  redis.pcall('XDEL', KEYS[5], ARGV[8])
  if type(redis.pcall('XACK', KEYS[5], ARGV[7], ARGV[8])) == 'number' then
    return {id, '1'}
  end
end
return {id}
