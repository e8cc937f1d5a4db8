-- SPDX-License-Identifier: Apache-2.0
-- What all scripts share; each of them is sent with this text before its own. KEYS[1] is the sorted set of one thread.
-- Its members are texts with NUL between their parts, in the order of their bytes (`saver/records.py` has the layout):
--
--   c <ns> <checkpoint> <parent> <root> <run> <number of channels> {<flag and channel> <version> <place>} <content>
--   v <ns> <channel> <base> <place in the chain> <content>
--   w <ns> <checkpoint> <task> <index> <content>
--
-- Content may have NUL inside, the other parts cannot.
local K = KEYS[1]

-- The two ends of the range of all members that begin with this text, whose last byte is NUL.
local function range(prefix)
  return '[' .. prefix, '(' .. string.sub(prefix, 1, -2) .. '\1'
end

local function count(prefix)
  local low, high = range(prefix)
  return redis.call('ZLEXCOUNT', K, low, high)
end

local function remove(prefix)
  local low, high = range(prefix)
  redis.call('ZREMRANGEBYLEX', K, low, high)
end

local function all(prefix)
  local low, high = range(prefix)
  return redis.call('ZRANGEBYLEX', K, low, high)
end

-- Store a member in place of the one that begins with the same text, if there is one.
local function put(prefix, content)
  if count(prefix) > 0 then
    remove(prefix)
  end
  redis.call('ZADD', K, 0, prefix .. content)
end

-- A checkpoint without its content. `channels` has lists of {flag, channel, version, place}.
local function parse(member)
  local at = 3
  local function part()
    local stop = string.find(member, '\0', at, true)
    local text = string.sub(member, at, stop - 1)
    at = stop + 1
    return text
  end
  local c = {member = member, ns = part(), id = part(), parent = part(), root = part(), run = part(), channels = {}}
  for n = 1, tonumber(part()) do
    local name = part()
    c.channels[n] = {string.sub(name, 1, 1), string.sub(name, 2), part(), part()}
  end
  return c
end

-- `base` and position of a value that has members of its own; nil for one that is in the checkpoint.
local function chain(place)
  return string.match(place, '^(%w+)/(%d+)$')
end

local function use(ttl)
  if tonumber(ttl) > 0 then
    redis.call('PEXPIRE', K, ttl)
  end
end

-- Remove each checkpoint that `keeps(c)` is false for, with its writes and the values that no other one needs. `replaced`
-- are former forms of checkpoints, which are removed already; their values are not.
-- Answers the runs that have no checkpoint left.
local function sweep(checkpoints, keeps, replaced)
  local unneeded, needed, gone, present = {}, {}, {}, {}
  local function each_chain(c, visit)
    for _, channel in ipairs(c.channels) do
      local base, position = chain(channel[4])
      if base then
        visit('v\0' .. c.ns .. '\0' .. channel[2] .. '\0' .. base .. '\0', tonumber(position))
      end
    end
  end
  local function need(prefix, position)
    needed[prefix] = math.max(needed[prefix] or 0, position)
  end
  local function release(prefix)
    unneeded[prefix] = true
  end

  for _, c in ipairs(replaced or {}) do
    each_chain(c, release)
  end
  for _, c in ipairs(checkpoints) do
    if keeps(c) then
      present[c.run] = true
      each_chain(c, need)
    else
      redis.call('ZREM', K, c.member)
      remove('w\0' .. c.ns .. '\0' .. c.id .. '\0')
      gone[c.run] = c.run ~= '' or nil
      each_chain(c, release)
    end
  end
  for prefix in pairs(unneeded) do
    if needed[prefix] then
      local _, high = range(prefix)
      redis.call('ZREMRANGEBYLEX', K, '[' .. prefix .. string.format('%02d', needed[prefix]) .. '\1', high)
    else
      remove(prefix)
    end
  end
  local runs = {}
  for run in pairs(gone) do
    if not present[run] then
      runs[#runs + 1] = run
    end
  end
  return runs
end

local function parse_all()
  local checkpoints = {}
  for n, member in ipairs(all('c\0')) do
    checkpoints[n] = parse(member)
  end
  return checkpoints
end

-- The channels of a checkpoint whose values are not stored with it: LangGraph rebuilds a DeltaChannel from the writes
-- of its ancestors, back to one that has a value.
local function rebuilt(c)
  local channels = {}
  for _, channel in ipairs(c.channels) do
    if channel[1] == 'd' and channel[4] == '' then
      channels[channel[2]] = true
    end
  end
  return channels
end

-- Keep the newest `limit` checkpoints of each namespace, and what they need.
local function keep_latest(limit)
  local checkpoints, by_ns, kept = parse_all(), {[''] = {ids = {}}}, {}
  for _, c in ipairs(checkpoints) do
    local one = by_ns[c.ns] or {ids = {}}
    by_ns[c.ns] = one
    one[#one + 1] = c
    one.ids[c.id] = c
  end

  local function keep_ancestors(c)
    local open, ids = rebuilt(c), by_ns[c.ns].ids
    local ancestor = ids[c.parent]
    while ancestor and next(open) do
      kept[ancestor] = true
      for _, channel in ipairs(ancestor.channels) do
        if channel[4] ~= '' then
          open[channel[2]] = nil
        end
      end
      ancestor = ids[ancestor.parent]
    end
  end

  local function keep_newest(one, wanted)
    for n = #one, math.max(1, #one - limit + 1), -1 do
      if wanted(one[n]) then
        kept[one[n]] = true
        keep_ancestors(one[n])
      end
    end
  end

  local roots = by_ns['']
  local newest = #roots > 0 and roots[#roots].id or ''
  keep_newest(roots, function() return true end)
  for ns, one in pairs(by_ns) do
    if ns ~= '' then
      -- The namespace of a subgraph that belongs to one task has a colon. It is of no use without the checkpoint of
      -- the root that had this task. A root that is newer than all is on its way.
      local of_a_task = string.find(ns, ':', 1, true)
      keep_newest(one, function(c)
        return not of_a_task or c.root == '' or c.root > newest or kept[roots.ids[c.root] or false]
      end)
    end
  end

  local runs = sweep(checkpoints, function(c) return kept[c] end)
  for ns, one in pairs(by_ns) do
    for n = 1, #one do
      if kept[one[n]] then -- writes of checkpoints that were never stored
        redis.call('ZREMRANGEBYLEX', K, '[w\0' .. ns .. '\0', '(w\0' .. ns .. '\0' .. one[n].id)
        break
      end
    end
  end
  return runs
end
