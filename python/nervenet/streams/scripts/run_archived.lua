-- SPDX-License-Identifier: Apache-2.0
-- A closed run is in the archive: now its retention counts. The copy of a run that was begun again is deleted.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}                   head
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal           stream
-- KEYS[3]  nn:<ns>:wf:{<id>}:live              stream
-- KEYS[4]  nn:<ns>:wf:{<id>}:view              string
-- KEYS[5]  nn:<ns>:wf:{<id>}:run:<n>           the head of that run, copied by workflow_renew
-- KEYS[6]  nn:<ns>:wf:{<id>}:run:<n>:journal   and its journal
-- ARGV     run
-- Answers  1 it is marked now · 0 it was, or it is gone
redis.call('DEL', KEYS[5], KEYS[6])
local h = redis.call('HMGET', KEYS[1], 'run', 'closed', 'keep', 'archived')
if h[1] ~= ARGV[1] or not h[2] or h[4] then
  return 0
end
redis.call('HSET', KEYS[1], 'archived', '1')
if h[3] then
  for i = 1, 4 do
    redis.call('PEXPIREAT', KEYS[i], h[3])
  end
end
return 1
