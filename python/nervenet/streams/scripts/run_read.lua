-- SPDX-License-Identifier: Apache-2.0
-- Reads a closed run for the archive, a page of its journal at a time: where it closed, or its copy if the workflow has begun
-- again since.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}                   head
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal           stream
-- KEYS[3]  nn:<ns>:wf:{<id>}:view              string
-- KEYS[4]  nn:<ns>:wf:{<id>}:run:<n>           the head of that run, copied by workflow_renew
-- KEYS[5]  nn:<ns>:wf:{<id>}:run:<n>:journal   and its journal
-- ARGV     run, id of the last entry that was read ('' = none), how many entries at most, how many bytes at most
-- Answers  {status, head as field, value, …, view or '', entries as XRANGE has them}; head and view with the first page only
--          'closed' it is here · 'archived' it is marked · 'open' it is not closed · 'gone'
local head, journal = KEYS[1], KEYS[2]
local h = redis.call('HMGET', head, 'run', 'closed', 'archived')
if h[1] ~= ARGV[1] then
  head, journal = KEYS[4], KEYS[5]
  h = redis.call('HMGET', head, 'run', 'closed', 'archived')
end
if not h[1] then
  return {'gone', {}, '', {}}
elseif not h[2] then
  return {'open', {}, '', {}}
elseif h[3] then
  return {'archived', {}, '', {}}
end
local fields, view = {}, ''
if ARGV[2] == '' then
  local all = redis.call('HGETALL', head)
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 2)
    if kind ~= 'e:' and kind ~= 'c:' then
      fields[#fields + 1] = all[i]
      fields[#fields + 1] = all[i + 1]
    end
  end
  view = head == KEYS[1] and redis.call('GET', KEYS[3]) or ''
end
local entries, size = {}, 0
for _, entry in ipairs(redis.call('XRANGE', journal, ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'COUNT', ARGV[3])) do
  size = size + #entry[2][4]
  if size > tonumber(ARGV[4]) and #entries > 0 then
    break
  end
  entries[#entries + 1] = entry
end
return {'closed', fields, view, entries}
