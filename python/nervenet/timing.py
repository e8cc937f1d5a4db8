# SPDX-License-Identifier: Apache-2.0
"""Durations that several processes rely on together, and the relations between them.

All are seconds, except names that end in `_MS`. What an agent in another language has to know travels in
`Welcome` (`status_interval`, `reconnect_within`, `lease_ttl`); it never has to be a constant there.

Two relations matter most. They are asserted at the end of this module, so that nobody can change one value alone:

- A node stops (SIGSTOP, a lost network). Its gateway agents hear nothing, take it for dead and connect to another node,
  which renews their claims. That must happen before the claims end:
  `CLAIM_TTL > GATEWAY_RENEW_MOST + SILENT_AFTER + RECONNECT_WITHIN`.
- A stream breaks. Its agent was told to be back within `RECONNECT_WITHIN`. The node that saw the break waits a little
  longer (`RETURN_WINDOW`), and long enough that a node which has the agent by then has renewed each claim once:
  `RETURN_WINDOW >= GATEWAY_RENEW_MOST`.
"""

from __future__ import annotations

from typing import Final

# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────

CLAIM_TTL: Final = 6.0
"""How long a claim lives after its last renewal."""
CLAIM_TTL_MS: Final = round(CLAIM_TTL * 1000)
CLAIM_TICK: Final = 0.5
"""How often the holders of claims look which of them are due."""
AGENT_RENEW_EVERY: Final = 1.5
"""Between two renewals by an agent on Redis."""
GATEWAY_RENEW_EVERY: Final = 1.0
"""Between two renewals by the node that an agent is connected to: shorter, since the node may stop in between."""
GATEWAY_RENEW_MOST: Final = GATEWAY_RENEW_EVERY + CLAIM_TICK / 2
"""The longest time between two renewals of a connected agent's claim."""
CLAIM_LATER: Final = 0.1
"""After which an agent claims an attempt that it was allowed to begin without a claim."""
BEGUN_UNCLAIMED_WITHIN_MS: Final = 1_000
"""An agent that reads such a task later than this claims it first."""
UNCLAIMED_WAIT_MS: Final = 300
"""A new owner waits so long before it sends a step that nobody claims: by then, an agent that runs it has claimed it."""
CHECKPOINT_EVERY: Final = 1.0
"""Between two checkpoints of a task that are stored."""

# ── the data plane ───────────────────────────────────────────────────────────────────────────────────────────────────

DATA_PLANE_RETRY: Final = 1.0
"""Before a claim, an outcome or a deletion is tried again, when Redis refused it or did not know the workflow yet."""
POLL_SOONEST: Final = 0.05
"""Between two looks at the shared queues, when the last one found tasks."""
POLL_LATEST: Final = 1.0
"""The same, when there have been none for a while."""
QUEUE_NAMES_EVERY: Final = 1.0
"""How often a process learns which queues its capabilities have."""
PROGRESS_EVERY: Final = 0.05
"""Between two times that a process sends news of running attempts: what comes in between is sent together."""

# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NODE_LEASE: Final = 5
AGENT_LEASE: Final = 5
GATEWAY_AGENT_LEASE: Final = 15
"""Longer than the others: it must outlive the change from one node to another, and a restart of etcd."""

# ── streams of gateway agents ────────────────────────────────────────────────────────────────────────────────────────

STATUS_INTERVAL: Final = 1.0
"""The longest that a connected agent may say nothing."""
HEARD_WITHIN: Final = 1.5 * STATUS_INTERVAL
"""A claim is renewed only while its agent was heard so lately."""
SILENT_AFTER: Final = 3 * STATUS_INTERVAL
"""Silence after which node and agent each take the other for gone. Every agent reckons it so (protos/README.md)."""
RECONNECT_WITHIN: Final = 1.0
"""An agent whose stream broke must be connected again after this, here or at another node."""
RETURN_GRACE: Final = 0.25
"""How much later the node gives it up: the agent may have noticed the break later, and its hello takes its time."""
RETURN_WINDOW: Final = RECONNECT_WITHIN + RETURN_GRACE
HELLO_COST: Final = 0.005
"""For each further agent that is away at the same time: they say hello one after the other."""
FORGET_AFTER: Final = float(GATEWAY_AGENT_LEASE)
"""A node forgets an agent that did not come back, and whose death nothing proves."""
TASK_STOP_GRACE: Final = 5.0
"""After this a task that was told to stop is recorded without its agent's answer."""

HELLO_TIMEOUT: Final = 10.0
"""A stream without a hello ends after this."""
RENEWED_LATER_MS: Final = 100
"""A renewal that is this much later than the break of a stream comes from another node."""
GATEWAY_LEASE_RENEW_EVERY: Final = GATEWAY_AGENT_LEASE / 3
"""Between two renewals of a connected agent's lease."""
MEMBERSHIP_TICK: Final = 0.25
"""How often a gateway compares leases, records and loads with what it has written."""
LOAD_AGAIN_AFTER: Final = 10.0
"""After this a load is written again although it has not changed."""
GATEWAY_DRAIN_TIMEOUT: Final = 3.0
"""How long a node that stops waits until its agents have left."""
SPREAD_EVERY: Final = 5.0
"""How often a gateway looks whether it has too many agents."""
SPREAD_AGAIN_AFTER: Final = 60.0
"""An agent that was sent to another node and stays is not sent again for this long."""

# ── agent processes ──────────────────────────────────────────────────────────────────────────────────────────────────

LOAD_REPORT_SHORTEST: Final = 0.25
"""Between two load reports of an agent, if its load changes."""
AGENT_CALL_TIMEOUT: Final = 5.0
"""For the calls of an agent to a node."""
AGENT_SERVER_STOP: Final = 1.0
"""How long an agent's server waits for calls when it stops."""
AGENT_LAG_LIMIT: Final = 1.0
"""An event loop that is blocked for longer is reported: it renews the claims."""
AGENT_LAG_BEAT: Final = 0.25
POOL_START_TIMEOUT: Final = 60.0
"""For the start of a pool process, with its imports and lifespans."""
POOL_KILL_AFTER: Final = 5.0
"""A pool process whose handler does not stop is killed after this."""
POOL_REPLACE_AFTER: Final = 1.0
"""Before the next attempt to replace a pool process that did not start."""
POOL_BEAT_EVERY: Final = 0.1
"""Between two signs of life of a pool process: more frequent ones are not sent."""

# ── nodes that take over ─────────────────────────────────────────────────────────────────────────────────────────────

SWEEP_OWNED_EVERY: Final = float(NODE_LEASE)
"""Between two comparisons of a node's own set with the workflows that it hosts."""
SWEEP_RUNNING_EVERY: Final = 60.0
"""Between two walks over the list of all running workflows."""
HEIR_WINDOW: Final = 10.0
"""After a node's death, the time in which only the node chosen by rendezvous hashing adopts its workflows. Then any capable
node may: the chosen one may not have noticed, or may be failing too."""
DEAD_NODE_REMEMBERED: Final = 90.0
"""How long the set of a dead node is read again and again."""
REAPER_EVERY: Final = 30.0
"""Between two walks that remove what dead processes left behind."""
START_GRACE_MS: Final = 60_000
"""Longest time of a start. An id in the list without a head is removed after it; a creation is refused after half of it."""
NODE_LEAVE_PATIENCE: Final = 5.0
"""How long a node that leaves waits for what is under way."""
ETCD_PATIENCE: Final = AGENT_LEASE / 3
"""How long a node waits for etcd before it answers a heartbeat. Agents leave a node that is silent for twice as long."""

# ── steps that wait ──────────────────────────────────────────────────────────────────────────────────────────────────

PENDING_MONITOR_TICK: Final = 0.1
"""How often an owner looks which of its pending steps are due for a check."""
QUIET_WORKFLOW_UNLOADED_MS: Final = 30_000
"""A workflow that only waits for timers, signals or people, and had no news for this long, leaves memory."""
CROWDED_WORKFLOW_UNLOADED_MS: Final = 1_000
"""The same while many such workflows are in memory."""
LOAD_AGAIN_MS: Final = 1_000
"""Until a load that failed is repeated, of a workflow that left memory."""
IDLE_WORKFLOW_CHECK_MS: Final = 60_000
"""Between two checks of a workflow that only waits for timers, signals or people."""
DOUBTFUL_CLAIM_CHECK_MS: Final = 1_000
"""Until a claim is checked again whose agent left the registry: it may end before the next round."""
ATTEMPT_OVERTIME_MS: Final = 2_000
"""After the end of an attempt's time its owner ends it. Normally its agent has done so by then."""
STOPPED_TASK_ASK_AGAIN: Final = 0.2
"""Between two questions to an agent whether it has stopped a task."""
DISPATCH_RETRY_MS: Final = 500
"""Until a send that failed is repeated: the link was down or full."""
FULL_QUEUE_RETRY_MS: Final = 1_000
"""Until the owner of a task tries a full queue again."""
QUEUE_LENGTH_FRESH_MS: Final = 1_000
"""Greatest age of a queue length on which a decision is based."""
QUEUE_NAME_AGAIN_MS: Final = 5_000
"""Least time between two writes of a queue's name, which another program may have changed."""
QUEUED_HINT_EVERY_MS: Final = 200
"""Least time between two announcements by one node that tasks went to the queues of a capability."""
SCALER_LOOK_IDLE: Final = 1.0
"""How often a scaler looks at a pool that has nothing to do, beside the announcements, which may get lost."""
SCALER_LOOK_ACTIVE: Final = 5.0
"""The same for a pool that has something to do."""
SCALER_REPEAT: Final = 30.0
"""How often a scaler's stream says again what it has said."""
SCALER_STREAM_LIFE: Final = 600.0
"""After which a scaler's stream ends well. KEDA opens it again 2 s later; after a stream that was cut, it waits twice as long as the
last time, until one ends well."""
EJECTION_BASE_MS: Final = 10_000
"""First time for which an agent that fails everything gets no tasks; it doubles with each further time."""
EJECTION_LONGEST_MS: Final = 300_000

# ── who is blamed for a lost agent ───────────────────────────────────────────────────────────────────────────────────

BLAME_WINDOW_MS: Final = 15_000
"""Deaths of other agents count from this long before a loss, or from the beginning of the attempt if that is earlier."""
BLAME_WAIT_MS: Final = 7_000
"""How long a loss that would make its task suspected waits for news of other deaths: longer than a claim lasts, so that
silence is noticed too."""
BLAME_TOGETHER_MS: Final = 250
"""Processes of one host that end within this time of each other ended for a reason of the host."""
BLAME_SEPARATE_MS: Final = 5_000
"""How long a task that lost two agents in a row waits for an agent without another such task."""

# ── workflows and their callers ──────────────────────────────────────────────────────────────────────────────────────

WORKFLOW_CLEAN_UP_MS: Final = 30_000
"""Time that a workflow has to clean up after its timeout."""
UNKNOWN_WORKFLOW_AFTER: Final = 2.0
"""After this, an id without a head is unknown: a caller may wait for a workflow before its start is through."""
WATCH_POLL: Final = 0.2
"""Between two looks at the live stream while agents write into it that give no hints."""
WATCH_POLL_IDLE: Final = 1.0
"""The same while no such agent writes."""
WATCH_KEEP_ALIVE: Final = 15.0
"""Between two messages of a stream that has no news."""
CLIENT_FIRST_PATIENCE: Final = 3.0
"""How long a client retries when no node has ever answered: the address is probably wrong."""
CLIENT_PATIENCE: Final = 20.0
"""How long it retries when one has: the node is probably being replaced."""
PEER_CALL_TIMEOUT: Final = 1.0
"""For a call that one node makes for another's caller."""
RESTART_CANCEL_TIMEOUT: Final = 8.0
"""For the end of a BLOCKED run that is canceled before it begins again. Its node may have died: then another one ends it."""
RESTART_CANCEL_POLL: Final = 0.1
BLOCKED_WAIT: Final = 1.0
"""For a caller that waits for the end of a BLOCKED workflow: shorter, and one that repeats its call would be a busy loop."""
PROBE_TIMEOUT: Final = 1.0
"""For the question whether a process that seems dead still answers."""

# ── what operators are told ──────────────────────────────────────────────────────────────────────────────────────────

STUCK_UNSERVED_MS: Final = 60_000
"""A task is stuck that is queued for longer and that no live agent serves: longer than agents need to start again."""
STUCK_SILENT_MS: Final = 600_000
"""A task is stuck whose handler gave no sign of life for longer: longer than a slow model or tool takes."""
SLOW_MS: Final = 3_600_000
"""A workflow is slow that is older, where too few runs of its definition have closed to compare it with."""
STATES_FRESH_MS: Final = 10_000
"""How long counts of workflows by state are given again at most, before they are counted again."""

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────────────

BLOCKED_LOOP_LIMIT: Final = 2.0
"""CPU time after which workflow code that does not give up the loop is interrupted."""
WATCHDOG_LOOK_EVERY: Final = 0.25
REPLAY_PROCESS_PATIENCE: Final = 10.0
"""Silence of the replay process after which the code that it folds is taken for stuck."""
FILE_LOOK_EVERY: Final = 1.0
"""Between two looks at a file that may change: tokens, policy, certificates, keys. However many ask for its content."""
FILE_LOOK_AGAIN: Final = 0.25
"""The same while it has just changed, or cannot be used and the last good content counts for seconds only."""
FILE_LOG_AGAIN: Final = 10.0
"""After which the log repeats what is wrong with a file that was well in the meantime."""
TOKEN_GRACE: Final = 5.0
"""How long the last good token is accepted while the file is unreadable."""
AUDIT_WRITTEN_WITHIN: Final = 5.0
"""Within which a line of the audit log must be written, or its call is refused."""
CREDENTIALS_LOOK_EVERY: Final = 1.0
"""Between two looks at the callers of open streams: whether their credentials still count."""
STREAM_END_WITHIN: Final = 5.0
"""How long a stream whose caller's credentials have ended may take to send what it is sending."""
JWT_LEEWAY: Final = 30.0
"""How far the clocks of this process and of an issuer of JWTs may differ."""
JWKS_LOOK_EVERY: Final = 300.0
"""Between two readings of an issuer's keys."""
JWKS_LOOK_AGAIN: Final = 5.0
"""The same after one that failed, and at least, where JWTs with an unknown key come in."""
JWKS_READ_WITHIN: Final = 5.0
"""How long an issuer may take to send its keys."""
JWKS_GRACE: Final = 3_600.0
"""How long keys count after they were last read."""

# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────

CERTIFICATE_WARN_EVERY: Final = 3600.0
"""Between two warnings about a certificate that ends soon."""
CONNECTION_AGE: Final = 30 * 60.0
"""After this a server asks a caller to connect again: so that long streams move to newer nodes too, and so that a caller whose
certificate has expired does not stay. gRPC adds or takes up to a tenth."""
CONNECTION_AGE_GRACE: Final = 75.0
"""How long calls may still use such a connection: longer than any call may wait. Then the server cuts it."""
CONNECTION_LONGEST: Final = 1.1 * CONNECTION_AGE + CONNECTION_AGE_GRACE
"""No connection to a node or an agent is older than this, and no caller stays for longer after its certificate has expired."""

# ── what callers send ────────────────────────────────────────────────────────────────────────────────────────────────

BODY_WITHIN: Final = 2.0
"""Time in which the message of a gRPC call must have arrived while others wait and memory is short."""
BODY_TURN: Final = 20.0
"""How long a call waits for its turn."""
BODY_MEMORY: Final = 60.0
"""How long a server remembers after a flood of large bodies how small it was before."""

# ── Redis came back ──────────────────────────────────────────────────────────────────────────────────────────────────

RECENT_WRITES_MS: Final = 10_000
"""What a node wrote this recently it writes again when Redis may have lost it."""
DURABILITY_LOOK_EVERY: Final = 0.4
"""Between two looks of a node that remembers much at what Redis has on its disk."""
DURABILITY_LOOK_AGAIN: Final = 10.0
"""The same where the server does not say it, or keeps nothing on a disk."""
CLAIM_TAKEN_BACK_MS: Final = 500
"""Time in which agents have taken back their claims when they meet another server: at once."""
WRITTEN_BACK_MS: Final = 2_000
"""Time in which nodes have written back what Redis had lost: so long, a workflow that it does not know may exist."""
FLUSHED_CLAIM_TAKEN_BACK_MS: Final = 2_000
"""The same when the server is the old one, without its data: at the next renewal."""

# ── the archive ──────────────────────────────────────────────────────────────────────────────────────────────────────

ARCHIVE_EVERY: Final = 1.0
"""Between two looks at what waits for the archive."""
ARCHIVE_LINGER_MS: Final = 30_000
"""How long closed runs wait for others, so that an object has many; a quarter of the retention if that is shorter."""
ARCHIVE_HOLD_MS: Final = 15_000
"""How long a node has a batch without a sign of life; then another node takes it over."""
BLOBS_RETRY: Final = 5.0
"""Seconds between two tries to reach a blob store that is away, at most."""
BLOBS_RETRY_MS: Final = 1_000
"""After this time an attempt is sent again whose input could not be written to the blob store."""
ARCHIVE_RETRY: Final = 10.0
"""The longest pause between two tries to write, while the sink takes nothing."""

# ── relations ────────────────────────────────────────────────────────────────────────────────────────────────────────

CLAIM_RESERVE: Final = CLAIM_TTL - (GATEWAY_RENEW_MOST + SILENT_AFTER + RECONNECT_WITHIN)
"""What is left of a claim when an agent of a stopped node is back in time: for a busy machine."""

assert CLAIM_RESERVE >= 0.5
assert UNCLAIMED_WAIT_MS > 2 * CLAIM_LATER * 1000
assert RETURN_WINDOW >= GATEWAY_RENEW_MOST
assert HEARD_WITHIN > STATUS_INTERVAL
assert HEARD_WITHIN < SILENT_AFTER
assert CLAIM_TTL > 3 * (AGENT_RENEW_EVERY + CLAIM_TICK / 2) / 2
assert GATEWAY_AGENT_LEASE > CLAIM_TTL + RECONNECT_WITHIN
assert CLAIM_TICK / 2 < GATEWAY_RENEW_EVERY < AGENT_RENEW_EVERY < CLAIM_TTL / 3
assert NODE_LEASE < HEIR_WINDOW < DEAD_NODE_REMEMBERED
assert DEAD_NODE_REMEMBERED > SWEEP_RUNNING_EVERY + HEIR_WINDOW
assert max(NODE_LEASE, AGENT_LEASE, GATEWAY_AGENT_LEASE) < REAPER_EVERY
assert START_GRACE_MS / 2 > CLIENT_PATIENCE * 1000
assert BLAME_WINDOW_MS > BLAME_WAIT_MS > CLAIM_TTL_MS
assert FLUSHED_CLAIM_TAKEN_BACK_MS > (AGENT_RENEW_EVERY + CLAIM_TICK / 2) * 1000
assert BLOCKED_LOOP_LIMIT + WATCHDOG_LOOK_EVERY < NODE_LEASE
assert PROBE_TIMEOUT < NODE_LEASE
assert ARCHIVE_HOLD_MS > 2 * NODE_LEASE * 1000
assert CONNECTION_AGE_GRACE > WATCH_KEEP_ALIVE
assert ATTEMPT_OVERTIME_MS > CLAIM_TICK * 1000
