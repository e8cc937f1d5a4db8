-- SPDX-License-Identifier: Apache-2.0
-- Keep the newest checkpoints of each namespace of a thread.
--
-- ARGV     how many to keep
-- Answers  runs that have no checkpoint left
return keep_latest(tonumber(ARGV[1]))
