-- SPDX-License-Identifier: Apache-2.0
-- Store a checkpoint and the values that are new with it, and remove old checkpoints.
--
-- ARGV     time to live in ms (0: none), how many checkpoints to keep (0: all), how many more before the next sweep,
--          ns, checkpoint, parent, root, run, content, number of channels,
--          {flag and channel, version, place}     place '?': where the parent has this version
--          {channel, base, position in the chain, content}
-- Answers  {channels, runs}: channels whose values must be sent in full, and then nothing is stored;
--          runs that have no checkpoint left
local ns, parent = ARGV[4], ARGV[6]
local at, lacking, parts = 11, {}, {ARGV[6], ARGV[7], ARGV[8], ARGV[10]}
local inherited
for _ = 1, tonumber(ARGV[10]) do
  local name, version, place = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  if place == '?' then
    if not inherited then
      inherited = {}
      local found = parent ~= '' and all('c\0' .. ns .. '\0' .. parent .. '\0')[1]
      for _, channel in ipairs(found and parse(found).channels or {}) do
        inherited[channel[2] .. '\0' .. channel[3]] = channel[4]
      end
    end
    place = inherited[string.sub(name, 2) .. '\0' .. version] or ''
    if place == '' and string.sub(name, 1, 1) == 'v' then
      lacking[#lacking + 1] = string.sub(name, 2)
    end
  end
  parts[#parts + 1] = name
  parts[#parts + 1] = version
  parts[#parts + 1] = place
end
for n = at, #ARGV, 4 do
  local chain_prefix, position = 'v\0' .. ns .. '\0' .. ARGV[n] .. '\0' .. ARGV[n + 1] .. '\0', tonumber(ARGV[n + 2])
  if position > 0 then
    local before = string.format('%02d', position - 1)
    local own = chain_prefix .. ARGV[n + 2] .. '\0'
    if count(chain_prefix .. before .. '\0') == 0
        or (count(own) > 0 and not redis.call('ZSCORE', K, own .. ARGV[n + 3])) then
      lacking[#lacking + 1] = ARGV[n]
    end
  end
end
if #lacking > 0 then
  return {lacking, {}}
end

for n = at, #ARGV, 4 do
  put('v\0' .. ns .. '\0' .. ARGV[n] .. '\0' .. ARGV[n + 1] .. '\0' .. ARGV[n + 2] .. '\0', ARGV[n + 3])
end
parts[#parts + 1] = ARGV[9]
local prefix, content = 'c\0' .. ns .. '\0' .. ARGV[5] .. '\0', table.concat(parts, '\0')
local former = all(prefix)[1]
put(prefix, content)
if former and former ~= prefix .. content then
  sweep(parse_all(), function() return true end, {parse(former)})
end

local runs, keep = {}, tonumber(ARGV[2])
if keep > 0 then
  local low, high = range('c\0' .. ns .. '\0')
  if #redis.call('ZREVRANGEBYLEX', K, high, low, 'LIMIT', keep + tonumber(ARGV[3]), 1) > 0 then
    runs = keep_latest(keep)
  end
end
if tonumber(ARGV[1]) == 0 then
  redis.call('PERSIST', K)
end
use(ARGV[1])
return {{}, runs}
