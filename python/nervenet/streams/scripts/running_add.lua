-- SPDX-License-Identifier: Apache-2.0
-- First step of a start: puts a workflow id into `running`, before it has a head.
--
-- KEYS[1]  nn:<ns>:running   zset: start time in ms → workflow id
-- ARGV     workflow id
-- Answers  the score, Redis' time in ms: workflow_create refuses past it + half the grace, because the sweep removes
--          an id that is older than the grace and has no head.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
