-- SPDX-License-Identifier: Apache-2.0
-- Creates head and journal of a workflow, with its `start` entry. Idempotent: who comes second gets the first's head.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry
-- KEYS[3]  nn:<ns>:running              zset: start time in ms → workflow id, as in running_add
-- KEYS[4]  nn:<ns>:owned:{<owner>}      set of workflow ids. These two only where one server has all keys: the start is one step then
-- ARGV     not_after ms, entry, then head fields and values in pairs (owner, definition, version, created, req, …)
-- Answers  {'created', journal id} | {'expired'} | {'exists', field, value, …} (the head without markers and claims)
--
-- The fields that every other script reads stand first: a head is a listpack, searched from its beginning.
local head, journal = KEYS[1], KEYS[2]

if redis.call('EXISTS', head) == 1 then
  local answer = {'exists'}
  local all = redis.call('HGETALL', head)
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 2)
    if kind ~= 'e:' and kind ~= 'c:' then
      answer[#answer + 1] = all[i]
      answer[#answer + 1] = all[i + 1]
    end
  end
  return answer
end

local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6, -4) -- in ms, as text, as in task_complete
if tonumber(now) > tonumber(ARGV[1]) then
  return {'expired'}
end

if KEYS[3] then
  local workflow = string.match(head, '{(.*)}$')
  redis.call('ZADD', KEYS[3], now, workflow)
  redis.call('SADD', KEYS[4], workflow)
end
local id = now .. '-1'
redis.call('XADD', journal, id, 'n', 'start', 'e', ARGV[2])
redis.call('HSET', head, 'run', '1', 'state', 'RUNNING', 'last', id, 'bytes', #ARGV[2], 'e:start', id,
  unpack(ARGV, 3))
return {'created', id}
