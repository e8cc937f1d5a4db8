-- SPDX-License-Identifier: Apache-2.0
-- Redis is back without its last entries, or empty: a node that remembers a journal writes back what is missing, under
-- the same ids.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head, as in journal_append
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry; id <ms>-<n>, n dense from 1
-- KEYS[3]  nn:<ns>:wf:{<id>}:ckpt      hash: step → last checkpoint
-- ARGV     run, the node that remembers, from which node the workflow may be taken ('' = none), '1' = the entries begin with
--          the run's first, so a lost head may be created again, the state of a closed run ('' = it is open),
--          retention in ms, for how many ms more a closed run waits for the archive ('0' = there is none), '1' = the retention is its
--          definition's own, how many words of head fields and values follow, those, then the remembered entries, dense and in order: id, name, entry
-- Answers  {status, owner, last journal id, how many were written back, how many others now follow them}
--          'whole'      nothing is missing; the journal may be longer
--          'restored'   it is whole again
--          'created'    head and journal were gone, or still those of an earlier run
--          'gap'        the journal does not reach up to what is remembered, or is another one
--          'not_owner'  another owns it; what was missing at its end was written back all the same
--          'closed'     it is closed; what was missing before its `close` was written back
--          'stale' a later run by now · 'unknown' no head, and not enough is remembered to make one
--
-- An entry that was appended to the shortened journal before this call happened later than the lost ones, so it follows
-- them. If both have an entry of one name, the remembered one counts: the code has already used it.
local head, journal, ckpt = KEYS[1], KEYS[2], KEYS[3]
local run, me, from, complete, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local first = 10 + tonumber(ARGV[9])
local count = (#ARGV - first + 1) / 3
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'last', 'bytes')
local owner = h[3] or ''

local function remembered(i)
  local at = first + 3 * (i - 1)
  return ARGV[at], ARGV[at + 1], ARGV[at + 2]
end

local function answer(status, written, moved)
  return {status, owner, h[4] or '', written or 0, moved or 0}
end

local fresh = not h[1] or tonumber(h[1]) < tonumber(run)
local closed = h[2] and not fresh
if h[1] and tonumber(h[1]) > tonumber(run) then
  return answer('stale')
elseif fresh and not complete then
  return answer(h[1] and 'gap' or 'unknown')
end

-- what the journal holds from the first remembered number on
local n1 = tonumber(string.match(remembered(1), '%-(%d+)$'))
local there, top, at = {}, 0, '+'
repeat
  local page, low = redis.call('XREVRANGE', journal, at, '-', 'COUNT', 100), false
  for _, entry in ipairs(page) do
    local n = tonumber(string.match(entry[1], '%-(%d+)$'))
    low = low or n < n1
    if n >= n1 then
      there[n] = entry
      top = math.max(top, n)
    end
    at = '(' .. entry[1]
  end
until low or #page < 100

local function same(n)
  local id, name = remembered(n - n1 + 1)
  return there[n] and there[n][1] == id and there[n][2][2] == name
end

local common = 0
while common < count and same(n1 + common) do
  common = common + 1
end
if fresh then
  common = 0
end
if common == count then
  return answer(closed and 'closed' or 'whole')
elseif common == 0 and not complete then
  return answer('gap')
elseif state ~= '' and common == 0 and not fresh and there[n1] and there[n1][2][4] ~= select(3, remembered(1)) then
  return answer('gap') -- it had ended, and somebody has started the id again since: that start counts
end
local mine = fresh or owner == me or owner == '' or owner == from -- who had an earlier run has lost it to the one that began the next
if not mine and top >= n1 + common then
  return answer('not_owner')
end

redis.call('HSET', head, 'run', run) -- one that a full Redis refuses: so all of it happens, or nothing
local bytes = fresh and 0 or tonumber(h[5])
local others, names = {}, {}
for i = 1, count do
  local _, name = remembered(i)
  names[name] = true
end
for n = n1 + common, top do
  local name, entry = there[n][2][2], there[n][2][4]
  local step = string.match(name, '^attempt:(.*)#%d+$')
  local kept = not names[name] and not (step and names['task:' .. step]) and (state == '' or closed)
  if kept and fresh then
    kept = name == 'cancel' or string.sub(name, 1, 7) == 'signal:'
  end
  if kept then
    others[#others + 1] = {name, entry}
  end
  bytes = fresh and bytes or bytes - #entry
  redis.call('HDEL', head, 'e:' .. name)
end

local expires
if fresh then
  local gone = {'closed', 'at', 'note', 'blocked', 'adoptions', 'adopted_at', 'keep', 'archived', 'retention'}
  for _, field in ipairs(redis.call('HKEYS', head)) do
    local kind = string.sub(field, 1, 2)
    if kind == 'e:' or kind == 'c:' then
      gone[#gone + 1] = field
    end
  end
  for i = 1, #gone, 1000 do
    redis.call('HDEL', head, unpack(gone, i, math.min(i + 999, #gone)))
  end
  redis.call('DEL', journal, ckpt)
  redis.call('PERSIST', head)
  redis.call('HSET', head, 'state', 'RUNNING', unpack(ARGV, 10, first - 1))
elseif top >= n1 + common then -- a stream takes no smaller id than it ever had: all of it again
  expires = closed and redis.call('PTTL', journal)
  local prefix = common > 0 and redis.call('XRANGE', journal, '-', there[n1 + common - 1][1]) or {}
  redis.call('DEL', journal)
  for _, entry in ipairs(prefix) do
    redis.call('XADD', journal, entry[1], unpack(entry[2]))
  end
end

local last
local function append(id, name, entry)
  redis.call('XADD', journal, id, 'n', name, 'e', entry)
  redis.call('HSET', head, 'e:' .. name, id)
  bytes = bytes + #entry
  local step = string.match(name, '^task:(.*)$')
  if step then
    redis.call('HDEL', head, 'c:' .. step)
    redis.call('HDEL', ckpt, step)
  end
  last = id
end

for i = common + 1, count do
  append(remembered(i))
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, other in ipairs(others) do
  local ms, n = string.match(last, '^(%d+)-(%d+)$')
  append(string.format('%.0f-%.0f', math.max(now, tonumber(ms)), n + 1), other[1], other[2])
end
owner = mine and me or owner
redis.call('HSET', head, 'owner', owner, 'last', last, 'bytes', string.format('%.0f', bytes))
h[4] = last
if expires and expires > 0 then
  redis.call('PEXPIRE', journal, expires)
elseif state ~= '' and not closed then
  redis.call('HSET', head, 'state', state, 'closed', (string.match(last, '^(%d+)')))
  redis.call('DEL', ckpt)
  if ARGV[8] == '1' then
    redis.call('HSET', head, 'retention', ARGV[6])
  end
  if ARGV[7] ~= '0' then
    redis.call('HSET', head, 'keep', string.format('%.0f', now + ARGV[6]))
  end
  redis.call('PEXPIRE', head, ARGV[6] + ARGV[7])
  redis.call('PEXPIRE', journal, ARGV[6] + ARGV[7])
end
redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), last)
return answer(fresh and 'created' or closed and 'closed' or mine and 'restored' or 'not_owner', count - common, #others)
