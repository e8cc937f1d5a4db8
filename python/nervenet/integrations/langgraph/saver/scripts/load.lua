-- SPDX-License-Identifier: Apache-2.0
-- Read checkpoints with their values and writes.
--
-- ARGV     time to live in ms (0: none), bytes after which no other checkpoint is read, {ns, checkpoint}
--          checkpoint '': the newest one
-- Answers  {checkpoints, values}. Checkpoints: {member, writes} for each, in the order of the question, until the bytes
--          are used up; {''} is not there. Values: {beginning of the members, members of the chain}, without repetition
local found, chains, values, bytes = {}, {}, {}, 0
for n = 3, #ARGV, 2 do
  if bytes > tonumber(ARGV[2]) then
    break
  end
  local ns, id, member = ARGV[n], ARGV[n + 1], nil
  if id == '' then
    local low, high = range('c\0' .. ns .. '\0')
    member = redis.call('ZREVRANGEBYLEX', K, high, low, 'LIMIT', 0, 1)[1]
  else
    member = all('c\0' .. ns .. '\0' .. id .. '\0')[1]
  end
  if not member then
    found[#found + 1] = {''}
  else
    local c = parse(member)
    local writes = all('w\0' .. ns .. '\0' .. c.id .. '\0')
    found[#found + 1] = {member, writes}
    bytes = bytes + #member
    for _, write in ipairs(writes) do
      bytes = bytes + #write
    end
    for _, channel in ipairs(c.channels) do
      local base, position = chain(channel[4])
      if base then
        local prefix = 'v\0' .. ns .. '\0' .. channel[2] .. '\0' .. base .. '\0'
        local value = chains[prefix]
        if not value then
          value = {prefix, {}}
          chains[prefix] = value
          values[#values + 1] = value
        end
        if #value[2] <= tonumber(position) then
          value[2] = redis.call('ZRANGEBYLEX', K, '[' .. prefix, '(' .. prefix .. position .. '\1')
          for _, each in ipairs(value[2]) do
            bytes = bytes + #each
          end
        end
      end
    end
  end
end
use(ARGV[1])
return {found, values}
