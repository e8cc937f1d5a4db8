-- SPDX-License-Identifier: Apache-2.0
-- Lists closed runs for the archive. What is in a batch already is not listed again (tests/model/archive.py).
--
-- KEYS[1]  nn:<ns>:archive:{runs}         zset: time of the close in ms → '<run> <workflow id>'
-- KEYS[2]  nn:<ns>:archive:{runs}:taken   hash: '<run> <workflow id>' → batch
-- ARGV     pairs of time and '<run> <workflow id>'
-- Answers  how many were listed
local added = 0
for i = 1, #ARGV, 2 do
  if not redis.call('HGET', KEYS[2], ARGV[i + 1]) then
    added = added + redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
  end
end
return added
