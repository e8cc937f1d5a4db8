-- SPDX-License-Identifier: Apache-2.0
-- Somebody watches a workflow: until then, every entry is published.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}   head: watch_until, closed
-- ARGV     for how many ms
-- Answers  1 watched, 0 no head or closed: nothing more will happen
local h = redis.call('HMGET', KEYS[1], 'run', 'closed', 'watch_until')
if not h[1] or h[2] then
  return 0
end
local t = redis.call('TIME')
local till = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[1]
if not h[3] or tonumber(h[3]) < till then
  redis.call('HSET', KEYS[1], 'watch_until', string.format('%.0f', till))
end
return 1
