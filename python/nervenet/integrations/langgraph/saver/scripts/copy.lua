-- SPDX-License-Identifier: Apache-2.0
-- Add the members of another thread to this one. A checkpoint or write of the same id is replaced.
--
-- ARGV     time to live in ms (0: none), {beginning of the member, content}
-- Answers  how many there are now
for n = 2, #ARGV, 2 do
  put(ARGV[n], ARGV[n + 1])
end
use(ARGV[1])
return redis.call('ZCARD', K)
