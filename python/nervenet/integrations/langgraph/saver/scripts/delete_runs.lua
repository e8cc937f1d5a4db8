-- SPDX-License-Identifier: Apache-2.0
-- Remove all checkpoints of some runs from a thread.
--
-- ARGV     runs
-- Answers  runs that have no checkpoint left
local doomed = {}
for _, run in ipairs(ARGV) do
  doomed[run] = true
end
return sweep(parse_all(), function(c) return not doomed[c.run] end)
