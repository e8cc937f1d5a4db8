-- SPDX-License-Identifier: Apache-2.0
-- Tells the watchers of a workflow that its live stream has news. Only if somebody watches: in a cluster each message goes
-- to every server. Sent right after the XADD, to the same server, so that a watcher who looks finds the news.
--
-- KEYS[1]  nn:<ns>:wf:{<id>}   head: watch_until
-- Answers  1 published, 0 nobody watches, or there is no head
local till = redis.call('HGET', KEYS[1], 'watch_until')
if not till then
  return 0
end
local t = redis.call('TIME')
if tonumber(till) <= t[1] * 1000 + math.floor(t[2] / 1000) then
  return 0
end
redis.call('PUBLISH', (string.gsub(KEYS[1], ':wf:{', ':progress:{', 1)), '')
return 1
