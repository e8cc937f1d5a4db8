-- SPDX-License-Identifier: Apache-2.0
-- Where a task's stream entry is, without reading the task: the third look of an owner at a pending step.
--
-- KEYS[1]  stream
-- ARGV     group, entry id
-- Answers  {'gone'} no such entry · {'unread'} somebody will get it · {'pending', consumer}
--          · {'lost'} delivered and pending nowhere: nobody will ever get it
if #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 0 then
  return {'gone'}
end
-- a queue that nobody read yet has no group: that error is as empty as an empty list
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if #pending > 0 then
  return {'pending', pending[1][2]}
end
local ms, n = string.match(ARGV[2], '^(%d+)-(%d+)$')
for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = {}
  for i = 1, #g, 2 do
    info[g[i]] = g[i + 1]
  end
  if info['name'] == ARGV[1] then
    local last_ms, last_n = string.match(info['last-delivered-id'], '^(%d+)-(%d+)$')
    ms, n, last_ms, last_n = tonumber(ms), tonumber(n), tonumber(last_ms), tonumber(last_n)
    if ms < last_ms or (ms == last_ms and n <= last_n) then
      return {'lost'}
    end
  end
end
return {'unread'}
