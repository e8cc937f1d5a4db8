-- SPDX-License-Identifier: Apache-2.0
-- Lists closed workflows in the bucket of their day; the bucket lives as long as the last of its workflows.
--
-- KEYS[1]  nn:<ns>:closed:{<day>}   zset: start time in ms → workflow id
-- ARGV     how many ms the bucket must still live at least, then pairs of start time in ms and workflow id
redis.call('ZADD', KEYS[1], unpack(ARGV, 2))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
