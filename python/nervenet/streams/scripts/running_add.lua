-- SPDX-License-Identifier: Apache-2.0
-- First step of a start: puts a workflow id into `running`, before it has a head. Also after a closed
-- workflow's next run has begun: then with a score above all that the end of its last run can remove (`running_done`).
--
-- KEYS[1]  nn:<ns>:running      zset: start time in ms → workflow id
--          nn:<ns>:restarting   zset: likewise, the mark before that beginning
-- ARGV     workflow id[, when its last run closed, in ms]
-- Answers  the score, Redis' time in ms: workflow_create refuses past it + half the grace, because the sweep removes
--          an id that is older than the grace and has no head.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[2] then
  local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
  now = math.max(now, ARGV[2] + 1, score and score + 1 or 0)
end
now = string.format('%.0f', now)
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
