-- SPDX-License-Identifier: Apache-2.0
-- Remove a thread.
--
-- Answers  its runs
local seen, runs = {}, {}
for _, member in ipairs(all('c\0')) do
  local run = parse(member).run
  if run ~= '' and not seen[run] then
    seen[run] = true
    runs[#runs + 1] = run
  end
end
redis.call('UNLINK', K)
return runs
