-- SPDX-License-Identifier: Apache-2.0
-- Store the writes of a task. A checkpoint that is not there yet is on its way.
--
-- ARGV     time to live in ms (0: none), {how, beginning of the member, content}
--          how: 'first' leaves a write that is there, 'last' replaces it
-- Answers  how many were stored
local stored = 0
for n = 2, #ARGV, 3 do
  if ARGV[n] == 'last' or count(ARGV[n + 1]) == 0 then
    put(ARGV[n + 1], ARGV[n + 2])
    stored = stored + 1
  end
end
use(ARGV[1])
return stored
