-- SPDX-License-Identifier: Apache-2.0
-- Deletes a consumer that has nothing pending: DELCONSUMER drops the pending list for good, so both are one step.
--
-- KEYS[1]  stream
-- ARGV     group, consumer
-- Answers  1 deleted, 0 it still has something pending
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
