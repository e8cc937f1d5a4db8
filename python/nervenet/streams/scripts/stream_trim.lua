-- SPDX-License-Identifier: Apache-2.0
-- Removes from a group's stream the entries that were delivered and are pending nowhere: no consumer would get them
-- again.
--
-- KEYS[1]  nn:<ns>:inbox:{<process id>} | nn:<ns>:queue:{<capability>…}   stream with one group
-- ARGV     group, where to go on ('-' at first), most pending entries to look at
-- Answers  {removed, where to go on ('' = done)}
--
-- The bulk is one XTRIM up to the oldest pending entry; only between that and the last delivered one it looks at each.
local stream, group, from, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local last
if redis.call('EXISTS', stream) == 0 then
  return {0, ''}
end
for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = {}
  for i = 1, #g, 2 do
    info[g[i]] = g[i + 1]
  end
  if info['name'] == group then
    last = info['last-delivered-id']
  end
end
if not last or last == '0-0' then
  return {0, ''}
end

local oldest = redis.call('XPENDING', stream, group)[2]
if not oldest then
  local ms, n = string.match(last, '^(%d+)-(%d+)$')
  return {redis.call('XTRIM', stream, 'MINID', string.format('%s-%.0f', ms, n + 1)), ''}
end

local removed = redis.call('XTRIM', stream, 'MINID', oldest)
local pending, till, next = {}, last, ''
local page = redis.call('XPENDING', stream, group, from, last, most)
for _, p in ipairs(page) do
  pending[p[1]] = true
end
if #page == most then
  till = page[most][1]
  next = '(' .. till
end
local at = from
repeat
  local entries = redis.call('XRANGE', stream, at, till, 'COUNT', 100)
  for _, entry in ipairs(entries) do
    if not pending[entry[1]] then
      removed = removed + redis.call('XDEL', stream, entry[1])
    end
    at = '(' .. entry[1]
  end
until #entries < 100
return {removed, next}
