-- SPDX-License-Identifier: Apache-2.0
-- The owner writes what lists and watchers see but no replay needs: state, at, note, blocked,
-- adopted_at (emptied: the adoption went well), and the published view.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}        head
-- KEYS[2]  nn:<ns>:wf:{<id>}:view   string: what the code published last
-- ARGV     run, owner, '1' = a view follows, the view, then fields and values in pairs
-- Answers  'new' · 'not_owner' · 'stale' · 'closed' · 'unknown'
local head = KEYS[1]
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'watch_until', 'last')
if not h[1] then
  return 'unknown'
elseif h[1] ~= ARGV[1] then
  return 'stale'
elseif h[2] then
  return 'closed'
elseif h[3] ~= ARGV[2] then
  return 'not_owner'
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[2], ARGV[4])
end
if #ARGV > 4 then
  redis.call('HSET', head, unpack(ARGV, 5))
end
local t = redis.call('TIME')
if h[4] and tonumber(h[4]) > t[1] * 1000 then
  redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), h[5])
end
return 'new'
