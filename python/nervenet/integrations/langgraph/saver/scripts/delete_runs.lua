-- SPDX-License-Identifier: Apache-2.0
-- Remove all checkpoints of some runs from a thread.
--
-- ARGV     runs
-- Answers  runs that have no checkpoint left
local doomed, checkpoints = {}, {}
for _, run in ipairs(ARGV) do
  doomed[run] = true
end
for n, member in ipairs(all('c\0')) do
  checkpoints[n] = parse(member)
end
return sweep(checkpoints, function(c) return not doomed[c.run] end)
