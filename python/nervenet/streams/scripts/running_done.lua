-- SPDX-License-Identifier: Apache-2.0
-- Takes closed workflows out of `running`, but not one that has begun again meanwhile: its next run raised the score.
--
-- KEYS[1]  nn:<ns>:running   zset: start time in ms → workflow id
-- ARGV     workflow id and the highest score that belongs to what closed (its end, or what was read before its head was
--          found closed), in pairs
-- Answers  how many were removed
local gone = {}
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[i + 1]) then
    gone[#gone + 1] = ARGV[i]
  end
end
return #gone > 0 and redis.call('ZREM', KEYS[1], unpack(gone)) or 0
