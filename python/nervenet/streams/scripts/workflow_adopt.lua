-- SPDX-License-Identifier: Apache-2.0
-- Takes a workflow over from an owner that is gone (compare-and-set), and hands out what a replay begins with. The
-- owner itself loads its workflow by the same script.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}           head: owner, closed, last, adoptions, adopted_at, adopted_from, …, c:<step> → claim
-- KEYS[2]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry
-- ARGV     new owner, expected owner, most entries, most bytes of entries
-- Answers  {status, {head field, value, …}, {claim field, value, …}, {{journal id, {'n', name, 'e', entry}}, …}}
--          'adopted' · 'mine' the new owner has it already (the reply was lost, or it loads its own) · 'refused' the
--          owner is a third one · 'closed' · 'unknown' no head. Entries only with 'adopted' and 'mine'.
--
-- `adoptions` counts those in a row that neither an entry followed nor the word of the node that it has replayed the
-- workflow and lives (it empties `adopted_at`): a workflow that kills its nodes shows in it, one that only waits does not.
-- `adopted_from` is the owner before the first of them. If it takes the workflow back, it lives, and stands for no death.
local head, me = KEYS[1], ARGV[1]
local fields, claims, at, status = {}, {}, {}, 'adopted'
local all = redis.call('HGETALL', head)
if #all == 0 then
  return {'unknown', {}, {}, {}}
end
for i = 1, #all, 2 do
  local kind = string.sub(all[i], 1, 2)
  if kind == 'c:' then
    claims[#claims + 1] = all[i]
    claims[#claims + 1] = all[i + 1]
  elseif kind ~= 'e:' then
    fields[#fields + 1] = all[i]
    fields[#fields + 1] = all[i + 1]
    at[all[i]] = #fields
  end
end

local function value(field)
  return at[field] and fields[at[field]]
end

if value('closed') then
  return {'closed', fields, claims, {}}
elseif value('owner') == me then
  status = 'mine'
elseif value('owner') ~= ARGV[2] then
  return {'refused', fields, claims, {}}
else
  local last, count = value('last'), 1
  if value('adopted_at') ~= last then
    redis.call('HSET', head, 'adopted_from', ARGV[2])
  elseif value('adopted_from') == me then
    count = value('adoptions') + 0
  else
    count = value('adoptions') + 1
  end
  redis.call('HSET', head, 'owner', me, 'adoptions', string.format('%.0f', count), 'adopted_at', last)
  fields[at.owner] = me
  fields[#fields + 1] = 'adoptions'
  fields[#fields + 1] = string.format('%.0f', count)
end

local entries, bytes, from = {}, 0, '-'
local most, room = tonumber(ARGV[3]), tonumber(ARGV[4])
while #entries < most do
  local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', math.min(20, most - #entries))
  for _, entry in ipairs(page) do
    bytes = bytes + #(entry[2][4] or '')
    if bytes > room and #entries > 0 then
      return {status, fields, claims, entries}
    end
    entries[#entries + 1] = entry
    from = '(' .. entry[1]
  end
  if #page < 20 then
    break
  end
end
return {status, fields, claims, entries}
