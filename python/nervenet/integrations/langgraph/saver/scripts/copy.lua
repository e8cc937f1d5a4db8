-- SPDX-License-Identifier: Apache-2.0
-- Add the members of another thread to this one. A checkpoint or write of the same id is replaced.
--
-- ARGV     time to live in ms (0: none), {beginning of the member, content}
-- Answers  how many there are now
local replaced = {}
for n = 2, #ARGV, 2 do
  local former = string.sub(ARGV[n], 1, 1) == 'c' and all(ARGV[n])[1]
  if former and former ~= ARGV[n] .. ARGV[n + 1] then
    replaced[#replaced + 1] = parse(former)
  end
  put(ARGV[n], ARGV[n + 1])
end
if #replaced > 0 then
  sweep(parse_all(), function() return true end, replaced)
end
use(ARGV[1])
return redis.call('ZCARD', K)
