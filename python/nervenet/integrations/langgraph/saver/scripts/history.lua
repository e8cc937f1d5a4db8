-- SPDX-License-Identifier: Apache-2.0
-- What the ancestors of a checkpoint have of some channels: for each channel the writes, back to the nearest ancestor
-- that has a value.
--
-- ARGV     time to live in ms (0: none), ns, checkpoint ('': the newest), how many ancestors at most, channels
-- Answers  {checkpoint, writes, values}: the ancestor at which the next call goes on ('': there is no more to read);
--          for each ancestor the members of its writes; {channel, place, members of its chain}
local ns, id = ARGV[2], ARGV[3]
local open, writes, values = {}, {}, {}
for n = 5, #ARGV do
  open[ARGV[n]] = true
end
local low, high = range('c\0' .. ns .. '\0')
local member
if id == '' then
  member = redis.call('ZREVRANGEBYLEX', K, high, low, 'LIMIT', 0, 1)[1]
else
  member = all('c\0' .. ns .. '\0' .. id .. '\0')[1]
end
local c = member and parse(member)

local function channel_of(write) -- w <ns> <checkpoint> <task> <index> <path> <channel> …
  local at, stop = 1, 0
  for _ = 1, 7 do
    at = stop + 1
    stop = string.find(write, '\0', at, true)
  end
  return string.sub(write, at, stop - 1)
end

local left = tonumber(ARGV[4])
while c and c.parent ~= '' and next(open) and left > 0 do
  left = left - 1
  member = all('c\0' .. ns .. '\0' .. c.parent .. '\0')[1]
  c = member and parse(member)
  if c then
    local own = {}
    for _, write in ipairs(all('w\0' .. ns .. '\0' .. c.id .. '\0')) do
      if open[channel_of(write)] then
        own[#own + 1] = write
      end
    end
    writes[#writes + 1] = own
    for _, channel in ipairs(c.channels) do
      if open[channel[2]] and channel[4] ~= '' then
        open[channel[2]] = nil
        local base, position = chain(channel[4])
        local prefix = base and 'v\0' .. ns .. '\0' .. channel[2] .. '\0' .. base .. '\0'
        values[#values + 1] = {channel[2], channel[4], base
          and redis.call('ZRANGEBYLEX', K, '[' .. prefix, '(' .. prefix .. position .. '\1') or {}}
      end
    end
  end
end
use(ARGV[1])
return {c and c.parent ~= '' and next(open) and c.id or '', writes, values}
