-- SPDX-License-Identifier: Apache-2.0
-- Hand-over: the owner gives a workflow to another node (compare-and-set), which loads it by workflow_adopt.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}   head: owner, closed
-- ARGV     new owner, expected owner
-- Answers  {status, owner}: 'moved' · 'mine' it was the new owner's already · 'refused' · 'closed' · 'unknown'
local h = redis.call('HMGET', KEYS[1], 'owner', 'closed')
if not h[1] then
  return {'unknown', ''}
elseif h[2] then
  return {'closed', h[1]}
elseif h[1] == ARGV[1] then
  return {'mine', h[1]}
elseif h[1] ~= ARGV[2] then
  return {'refused', h[1]}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {'moved', ARGV[1]}
