-- SPDX-License-Identifier: Apache-2.0
-- One page of a journal, bounded in entries and bytes, but never empty while there is more.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}:journal   stream: n = entry name, e = entry
-- ARGV     start as XRANGE takes it ('-' or '(<journal id>'), most entries, most bytes
-- Answers  {{journal id, {'n', name, 'e', entry}}, …}
local entries, bytes, from = {}, 0, ARGV[1]
local most, room = tonumber(ARGV[2]), tonumber(ARGV[3])
while #entries < most do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', math.min(20, most - #entries))
  for _, entry in ipairs(page) do
    bytes = bytes + #(entry[2][4] or '')
    if bytes > room and #entries > 0 then
      return entries
    end
    entries[#entries + 1] = entry
    from = '(' .. entry[1]
  end
  if #page < 20 then
    break
  end
end
return entries
