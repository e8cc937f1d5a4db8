-- SPDX-License-Identifier: Apache-2.0
-- A node takes a batch: one whose holder's time is over, else the runs that wait longest, all closed on one day (UTC).
--
-- KEYS[1]  nn:<ns>:archive:{runs}           zset: time of the close in ms → '<run> <workflow id>'
-- KEYS[2]  nn:<ns>:archive:{runs}:taken     hash: '<run> <workflow id>' → batch
-- KEYS[3]  nn:<ns>:archive:{runs}:batches   zset: until when its holder has it, in ms → batch
-- KEYS[4]  nn:<ns>:archive:{runs}:holders   hash: batch → token of its holder
-- KEYS[5]  nn:<ns>:archive:{runs}:members   hash: batch → 'o' (open) or 's' (sealed), then time and run of each, in lines
-- ARGV     token, most runs of a batch, how many make a full one, ms that fewer wait for more, ms for which it is held
-- Answers  {batch, 'o' or 's' and its members, in lines} · {} there is nothing to do
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local late = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1)
if late[1] then
  local members = redis.call('HGET', KEYS[5], late[1])
  if not members then
    redis.call('ZREM', KEYS[3], late[1])
    return {}
  end
  redis.call('ZREM', KEYS[3], late[1]) -- a removal first: a full Redis then takes the writes behind it
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[5]), late[1])
  redis.call('HSET', KEYS[4], late[1], ARGV[1])
  return {late[1], members}
end

local rows = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
if #rows == 0 or (#rows < 2 * ARGV[3] and tonumber(rows[2]) > now - ARGV[4]) then
  return {}
end
local batch, lines = ARGV[1], {'o'}
local day = math.floor(rows[2] / 86400000)
for i = 1, #rows, 2 do
  if math.floor(rows[i + 1] / 86400000) ~= day then
    break
  end
  lines[#lines + 1] = string.format('%.0f', rows[i + 1]) .. ' ' .. rows[i]
  redis.call('ZREM', KEYS[1], rows[i])
  redis.call('HSET', KEYS[2], rows[i], batch)
end
local members = table.concat(lines, '\n')
redis.call('HSET', KEYS[5], batch, members)
redis.call('HSET', KEYS[4], batch, batch)
redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[5]), batch)
return {batch, members}
