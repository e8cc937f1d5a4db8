-- SPDX-License-Identifier: Apache-2.0
-- A batch is written, and all its runs are marked: it is over. Again: nothing changes.
--
-- KEYS     as in archive_take
-- ARGV     batch
-- Answers  how many runs it had
local members, runs = redis.call('HGET', KEYS[5], ARGV[1]), 0
for line in string.gmatch(members or '', '[^\n]+') do
  local run = string.match(line, '^%d+ (.*)$')
  if run and redis.call('HGET', KEYS[2], run) == ARGV[1] then
    redis.call('HDEL', KEYS[2], run)
    runs = runs + 1
  end
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
return runs
