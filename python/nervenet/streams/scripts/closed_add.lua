-- SPDX-License-Identifier: Apache-2.0
-- Lists a closed workflow in the bucket of its day; the bucket lives as long as the last of its workflows.
--
-- KEYS[1]  nn:<ns>:closed:{<day>}   zset: start time in ms → workflow id
-- ARGV     workflow id, start time in ms, for how many ms the bucket shall still live at least
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
