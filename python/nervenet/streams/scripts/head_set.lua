-- SPDX-License-Identifier: Apache-2.0
-- The owner writes the fields that lists and watchers see and no replay needs: state, at, note, blocked, and the
-- published view. A node that has adopted and replayed a workflow confirms that it survived, even if another node
-- owns it by now.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}        head
-- KEYS[2]  nn:<ns>:wf:{<id>}:view   string: what the code published last
-- ARGV     run, owner, '1' = a view follows, the view, '1' = survived its adoption, then fields and values in pairs
-- Answers  'new' · 'not_owner' · 'stale' · 'closed' · 'unknown'
local head = KEYS[1]
local h = redis.call('HMGET', head, 'run', 'closed', 'owner', 'watch_until', 'last', 'adopted_at', 'adoptions')
if not h[1] then
  return 'unknown'
elseif h[1] ~= ARGV[1] then
  return 'stale'
elseif h[2] then
  return 'closed'
elseif h[3] ~= ARGV[2] then
  if ARGV[5] == '1' and h[6] == h[5] and tonumber(h[7]) > 0 then
    redis.call('HINCRBY', head, 'adoptions', -1)
  end
  return 'not_owner'
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[2], ARGV[4])
end
if ARGV[5] == '1' then
  redis.call('HSET', head, 'adopted_at', '')
end
if #ARGV > 5 then
  redis.call('HSET', head, unpack(ARGV, 6))
end
local t = redis.call('TIME')
local blocked = false  -- those who wait for the end of a workflow do not watch it, and want to know this at once
for i = 6, #ARGV - 1, 2 do
  blocked = blocked or (ARGV[i] == 'state' and ARGV[i + 1] == 'BLOCKED')
end
if blocked or (h[4] and tonumber(h[4]) > t[1] * 1000) then
  redis.call('PUBLISH', (string.gsub(head, ':wf:{', ':events:{', 1)), h[5])
end
return 'new'
