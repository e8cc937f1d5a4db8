-- SPDX-License-Identifier: Apache-2.0
-- The sweep takes an id without a head out of `running`, unless somebody began to start it again meanwhile.
--
-- KEYS[1]  nn:<ns>:running   zset: start time in ms → workflow id
--          nn:<ns>:restarting, likewise for a mark whose run is listed, or never came
--          nn:<ns>:escalations, likewise for a question that is open no more   zset: deadline → escalation id
-- ARGV     member, the score that was read before the head was looked for
-- Answers  1 removed, 0 another score by now, or not there
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
