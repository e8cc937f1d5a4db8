-- SPDX-License-Identifier: Apache-2.0
-- The holder of an open batch says what it will write. From then on the batch is this and no other, whichever node writes it.
--
-- KEYS     as in archive_take
-- ARGV     batch, token, how many runs it will write, time and '<run> <workflow id>' of each, then the same for runs that did
--          not fit and go back to the list. The batch forgets the others: they are archived, or gone
-- Answers  1 · 0 another node has it by now
local batch = ARGV[1]
local members = redis.call('HGET', KEYS[5], batch)
if redis.call('HGET', KEYS[4], batch) ~= ARGV[2] or not members or string.sub(members, 1, 1) ~= 'o' then
  return 0
end
redis.call('HDEL', KEYS[2], '') -- a removal first: a full Redis then takes the writes behind it
local kept, lines = {}, {'s'}
local last = 3 + 2 * ARGV[3]
for i = 4, last, 2 do
  kept[ARGV[i + 1]] = true
  lines[#lines + 1] = ARGV[i] .. ' ' .. ARGV[i + 1]
end
for line in string.gmatch(members, '[^\n]+') do
  local run = string.match(line, '^%d+ (.*)$')
  if run and not kept[run] then
    redis.call('HDEL', KEYS[2], run)
  end
end
for i = last + 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
end
if #lines == 1 then
  redis.call('ZREM', KEYS[3], batch)
  redis.call('HDEL', KEYS[4], batch)
  redis.call('HDEL', KEYS[5], batch)
else
  redis.call('HSET', KEYS[5], batch, table.concat(lines, '\n'))
end
return 1
