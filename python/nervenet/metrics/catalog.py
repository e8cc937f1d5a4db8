# SPDX-License-Identifier: Apache-2.0
"""The table of all metrics. docs/metrics.md is made from it, and dashboards and alerts are checked against it.

Names follow OpenTelemetry's conventions where there is one, else they begin with `nervenet.`. The conventions are pinned:
RPC as of semantic-conventions v1.42.0 (release candidate), GenAI as of the last state of semantic-conventions-genai before
its v0.1.0 (commit 004902b8), because v0.1.0 has no metric for workflows any more. docs/metrics.md says where we differ.

Labels are bounded. Definitions, capabilities and models are names that somebody gave in code; states, codes and outcomes
are ours. No label is an id, and a label that callers choose counts only if `metrics_labels` allows it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Where = Literal["node", "agent", "node, agent"]


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        name: OpenTelemetry's name. `exposition.prometheus_name` has the one in Prometheus.
        kind: What it is.
        unit: As OpenTelemetry writes it: `s`, `By`, `{task}`.
        labels: The names of its labels.
        meaning: One line for people.
        moves: What changes it.
        action: What to do when it is not as it should be.
        where: Which processes have it.
        bounds: Of a histogram.
        takes_caller_labels: Whether the labels that `metrics_labels` allows are added.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    moves: str
    action: str
    where: Where = "node"
    bounds: tuple[float, ...] = ()
    takes_caller_labels: bool = False


_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds of calls and round trips."""
_RPC: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Of the RPC convention."""
_WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_WORKFLOW: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 86400)
"""Of the GenAI convention, with three shorter ones and a day: our workflows last milliseconds or weeks."""
_AGENT: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
"""Of the GenAI convention, with three shorter ones."""
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""Of the GenAI convention."""
_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
_LAG: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

# ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────────

WORKFLOWS_STARTED: Final = Metric(
    "nervenet.workflow.started", "counter", "{workflow}", ("definition",),
    "Workflows that this node accepted.",
    "A start that creates a workflow, also one that another node will own. A repeated start does not count.",
    "None. Compare it with `nervenet.workflow.closed`.",
    takes_caller_labels=True,
)  # fmt: skip
WORKFLOWS_REFUSED: Final = Metric(
    "nervenet.workflow.refused", "counter", "{workflow}", ("reason",),
    "Starts that this node refused.",
    "A start that is answered with an error; `reason` is that of docs/errors.md.",
    "`NODE_FULL`, `MEMORY_FULL`: add nodes. `UNKNOWN_DEFINITION`: a caller is newer than the nodes.",
)  # fmt: skip
WORKFLOWS_CLOSED: Final = Metric(
    "nervenet.workflow.closed", "counter", "{workflow}", ("definition", "outcome"),
    "Workflows that ended on this node.",
    "A run ends: `succeeded`, `failed`, `canceled` or `timed_out`.",
    "`nervenet list --state failed` shows why. A sudden rise of `failed` for one definition: look at its last deploy.",
    takes_caller_labels=True,
)  # fmt: skip
WORKFLOW_DURATION: Final = Metric(
    "gen_ai.workflow.duration", "histogram", "s", ("gen_ai.workflow.name", "error.type"),
    "Time from the start of a workflow's run to its end, by Redis' clock.",
    "A run ends. `error.type` is the type of the failure's exception or its code; it is missing after a success.",
    "Split it: `nervenet.task.schedule_to_start` is waiting, `gen_ai.invoke_agent.duration` is work.",
    bounds=_WORKFLOW,
)  # fmt: skip
WORKFLOWS_OPEN: Final = Metric(
    "nervenet.workflow.open", "gauge", "{workflow}", ("definition", "state"),
    "Open workflows that this node owns.",
    "`running`: tasks or children are under way. `parked`: it waits for a timer or a signal. `waiting_for_human`, `blocked`, `canceling` are as in lists.",
    "`blocked` above 0 needs a person: `nervenet list --state blocked`.",
)  # fmt: skip
WORKFLOWS_HOSTED: Final = Metric(
    "nervenet.workflow.hosted", "gauge", "{workflow}", ("memory",),
    "Open workflows that this node owns, by whether their code is in memory.",
    "`loaded`: in memory, about 7 KB each. `unloaded`: it only waits and had no news for half a minute, under 1 KB beside its journal.",
    "None. If `nervenet.workflow.replays` with `woken` rises as fast as signals arrive, the workflows wait too shortly to leave memory.",
)  # fmt: skip
WORKFLOWS_BLOCKED: Final = Metric(
    "nervenet.workflow.blocked", "counter", "{workflow}", ("definition",),
    "Times that a workflow became BLOCKED on this node.",
    "Code that does not fit its journal, blocks the loop, or ends its nodes; an entry that cannot be read.",
    "`nervenet show ID` names the line. Deploy code that fits; the workflow then continues.",
)  # fmt: skip
REPLAYS: Final = Metric(
    "nervenet.workflow.replays", "counter", "{replay}", ("reason",),
    "Journals that this node folded from their beginning.",
    "`adopted`: from a node that is gone. `loaded`: its own, or one that another node handed over. `woken`: one that had left memory.",
    "None. See `nervenet.workflow.adoptions`.",
)  # fmt: skip
REPLAY_DURATION: Final = Metric(
    "nervenet.workflow.replay.duration", "histogram", "s", (),
    "Time to read and fold a whole journal.",
    "A replay, of any reason.",
    "Long journals: begin a fresh one with `ctx.continue_as_new`.",
    bounds=_SHORT,
)  # fmt: skip
ADOPTIONS: Final = Metric(
    "nervenet.workflow.adoptions", "counter", "{workflow}", ("definition",),
    "Workflows of nodes that are gone, continued on this node.",
    "A node dies or loses its lease, and this node takes its workflow.",
    "Nodes that end without a deploy: look at their last log lines and at `process.memory.usage`.",
)  # fmt: skip
ADOPTION_DELAY: Final = Metric(
    "nervenet.workflow.adoption.delay", "histogram", "s", (),
    "Time from a node's death, as far as this node knows it, to the continuation of a workflow.",
    "An adoption. A proven death counts from its tombstone, an expired lease from one lease time before its end.",
    "Above 15 s: no other node has the code, or the survivors are full.",
    bounds=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 300),
)  # fmt: skip
HANDOVERS: Final = Metric(
    "nervenet.workflow.handovers", "counter", "{workflow}", (),
    "Workflows that this node gave to another one.",
    "A drain, or a journal that only a newer release can read.",
    "None.",
)  # fmt: skip
JOURNAL_ENTRIES: Final = Metric(
    "nervenet.journal.entries", "counter", "{entry}", (),
    "Journal entries that this node folded, without those of replays.",
    "Every entry of every workflow here: it is the measure of a node's work.",
    "None.",
)  # fmt: skip
JOURNAL_BYTES: Final = Metric(
    "nervenet.journal.io", "counter", "By", (),
    "Bytes of those entries, as they are stored in Redis.",
    "The same.",
    "A rise without more workflows: somebody passes large inputs or results. Store them elsewhere and pass a URI.",
)  # fmt: skip
JOURNAL_HELD: Final = Metric(
    "nervenet.journal.memory", "gauge", "By", (),
    "Bytes of entries that this node keeps in memory, to write them back if Redis loses them.",
    "Open workflows and their journals. It stays below 64 MiB.",
    "None.",
)  # fmt: skip

# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TASKS_SENT: Final = Metric(
    "nervenet.task.sent", "counter", "{task}", ("capability", "route"),
    "Attempts that this node sent: `inbox` of one agent, or the shared `queue` because no agent had room.",
    "A dispatch, and each later send of the same attempt.",
    "A large share of `queue`: more slots are needed.",
)  # fmt: skip
TASK_RETRIES: Final = Metric(
    "nervenet.task.retries", "counter", "{task}", ("capability",),
    "Attempts behind the first one that this node began.",
    "A failed attempt that may be repeated. A node that adopts a workflow in the middle of a retry counts it again.",
    "`nervenet.task.attempts` says with which code they fail.",
)  # fmt: skip
TASK_ATTEMPTS: Final = Metric(
    "nervenet.task.attempts", "counter", "{attempt}", ("capability", "outcome"),
    "Attempts that ended, counted by the process whose entry the journal took, so each one once.",
    "`succeeded`, `asked` (a human), or the code of a failure in small letters: `application`, `timeout`, `agent_lost`, …",
    "`agent_lost`: agents die, see `docs/operations.md`. `rate_limited`: fewer slots, or a longer backoff.",
    "node, agent",
)  # fmt: skip
SCHEDULE_TO_START: Final = Metric(
    "nervenet.task.schedule_to_start", "histogram", "s", ("capability",),
    "Time from the send of an attempt to its claim by an agent.",
    "A claim. Agents measure with their own clock: a wrong one shows here.",
    "It rises first when agents are too few: start more, or give them more slots.",
    "node, agent",
    bounds=_WAITS,
)  # fmt: skip
TASK_RUN: Final = Metric(
    "nervenet.task.run.duration", "histogram", "s", ("capability", "outcome"),
    "Time from the claim of one attempt to its recorded outcome.",
    "An attempt that an agent ended.",
    "Compare with the attempt timeout. A rise of one capability: what its handler calls became slow.",
    "node, agent",
    bounds=_AGENT,
)  # fmt: skip
INVOKE_AGENT_DURATION: Final = Metric(
    "gen_ai.invoke_agent.duration", "histogram", "s", ("gen_ai.agent.name", "error.type"),
    "Time of a whole task as its workflow sees it: waiting, all attempts and questions.",
    "A step's outcome is folded on the workflow's node. `error.type` is missing after a success.",
    "Compare with `nervenet.task.run.duration`: the difference is waiting and retries.",
    bounds=_AGENT,
)  # fmt: skip
TASKS_RESENT: Final = Metric(
    "nervenet.task.resent", "counter", "{task}", ("reason",),
    "Sends of an attempt whose copy was gone or was not taken.",
    "`lost`: no stream has it any more. `late`: its agent did not claim it within the accept timeout. `refused`: an agent may not run it. `unsent`: Redis refused it.",
    "`late` again and again: an agent hangs; it is ejected. `unsent`: look at Redis.",
)  # fmt: skip
DUPLICATES: Final = Metric(
    "nervenet.task.duplicates", "counter", "{task}", ("reason",),
    "Second copies that changed nothing.",
    "`done`: the step had its outcome. `busy`: another agent has the attempt. `stale`: of an earlier attempt or run. `outcome`: an outcome was recorded first by somebody else.",
    "Some are normal after deaths and reconnects. Steadily many: look for agents with wrong timeouts.",
    "node, agent",
)  # fmt: skip
CLAIMS_LOST: Final = Metric(
    "nervenet.task.claims_lost", "counter", "{claim}", (),
    "Running attempts that lost their claim and had to stop.",
    "A cancel, a timeout of the owner, or an agent that did not renew in time because its loop was blocked.",
    "With `nervenet.loop.lag`: a handler blocks the event loop. Make it a plain `def`.",
    "node, agent",
)  # fmt: skip
QUEUE_DEPTH: Final = Metric(
    "nervenet.queue.depth", "gauge", "{task}", ("capability",),
    "Tasks that wait in the shared queues of a capability: nobody has them yet.",
    "Every node reports the whole mesh: take the maximum, not the sum. Looked at every few seconds.",
    "More agents. If `nervenet.mesh.serving` is 0: nobody serves it.",
)  # fmt: skip
QUEUE_AGE: Final = Metric(
    "nervenet.queue.oldest.age", "gauge", "s", ("capability",),
    "Age of the oldest of them.",
    "The same.",
    "The best single sign that work is stuck. See `docs/operations.md`.",
)  # fmt: skip
TOKENS: Final = Metric(
    "gen_ai.client.token.usage", "histogram", "{token}", ("gen_ai.request.model", "gen_ai.token.type", "gen_ai.agent.name"),
    "Tokens that handlers reported, for each attempt and model; `gen_ai.token.type` is `input` or `output`.",
    "`task.usage(…)` in a handler whose attempt is recorded, also a failed one.",
    "The sum is the bill. A model that nobody expects: a handler was changed.",
    "node, agent",
    bounds=_TOKENS,
)  # fmt: skip

# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ESCALATIONS_OPEN: Final = Metric(
    "nervenet.escalation.open", "gauge", "{question}", ("source",),
    "Questions to people that are open in the workflows of this node.",
    "`workflow` asks in code, `agent` asks instead of answering, `exhausted` has no attempts left.",
    "`nervenet escalations list`. Many `exhausted`: repair the capability, then grant retries.",
)  # fmt: skip
ESCALATION_AGE: Final = Metric(
    "nervenet.escalation.oldest.age", "gauge", "s", (),
    "Age of the oldest open question of this node.",
    "The same.",
    "Somebody must answer, or set deadlines with a default answer.",
)  # fmt: skip
ESCALATIONS_ASKED: Final = Metric(
    "nervenet.escalation.asked", "counter", "{question}", ("source",),
    "Questions that were asked.",
    "A question enters a journal on this node.",
    "None.",
)  # fmt: skip
DECISIONS: Final = Metric(
    "nervenet.escalation.decisions", "counter", "{decision}", ("action",),
    "Decisions that this node recorded.",
    "`complete`, `retry`, `fail`, `cancel_workflow` by people, `expired` at a deadline.",
    "Many `expired`: deadlines are too short, or nobody is told (setting `escalation_hook`).",
)  # fmt: skip

# ── agents and nodes ─────────────────────────────────────────────────────────────────────────────────────────────────

AGENTS: Final = Metric(
    "nervenet.mesh.agents", "gauge", "{agent}", ("state",),
    "Registered agents, as this node sees the registry.",
    "Every node reports the whole mesh: take the maximum. States: `starting`, `active`, `draining`, `drained`.",
    "Fewer than you started: look at the logs of the missing ones.",
)  # fmt: skip
SERVING: Final = Metric(
    "nervenet.mesh.serving", "gauge", "{agent}", ("capability",),
    "Active agents that serve a capability; 0 for one that waits in a queue and that nobody serves.",
    "The same.",
    "0: start an agent, or correct the name in the workflow.",
)  # fmt: skip
MESH_SLOTS: Final = Metric(
    "nervenet.mesh.slots", "gauge", "{slot}", ("use",),
    "Slots of all agents by their last load reports: `total` and `used`.",
    "The same.",
    "`used` near `total`: more agents.",
)  # fmt: skip
SLOTS: Final = Metric(
    "nervenet.agent.slots", "gauge", "{slot}", (),
    "Tasks that this agent can run at once.",
    "Its configuration.",
    "None.",
    "agent",
)  # fmt: skip
SLOTS_USED: Final = Metric(
    "nervenet.agent.slots.used", "gauge", "{slot}", ("capability",),
    "Tasks that this agent runs.",
    "A claim and its end.",
    "All used for long: more agents.",
    "agent",
)  # fmt: skip
EJECTIONS: Final = Metric(
    "nervenet.agent.ejections", "counter", "{ejection}", ("reason",),
    "Times that this node stopped sending tasks to an agent for a while.",
    "`accepts_nothing`: a task lay in its inbox for the accept timeout. `fails_everything`: five failures in a row where others succeed.",
    "The log names the agent. Restart it, and look at what it lacks.",
)  # fmt: skip
EJECTED: Final = Metric(
    "nervenet.agent.ejected", "gauge", "{agent}", (),
    "Agents that get nothing from this node now.",
    "An ejection begins or ends.",
    "As above.",
)  # fmt: skip
GATEWAY_AGENTS: Final = Metric(
    "nervenet.gateway.agents", "gauge", "{agent}", (),
    "Agents that are connected to this node by gRPC.",
    "A stream begins or ends.",
    "None.",
)  # fmt: skip
NODES: Final = Metric(
    "nervenet.mesh.nodes", "gauge", "{node}", ("state",),
    "Registered nodes, as this node sees the registry.",
    "Every node reports the whole mesh: take the maximum, or the minimum to find a node with an old view.",
    "Fewer than you started: look at the missing one.",
)  # fmt: skip
NODE_FULL: Final = Metric(
    "nervenet.node.full", "gauge", "1", (),
    "1 while this node takes no further workflows.",
    "`max_workflows` or `max_memory` is reached.",
    "Add nodes, or raise the limit.",
)  # fmt: skip
NODE_LIMIT: Final = Metric(
    "nervenet.node.workflows.limit", "gauge", "{workflow}", (),
    "The setting `max_workflows`.",
    "The setting.",
    "None.",
)  # fmt: skip
NODE_FAILING: Final = Metric(
    "nervenet.node.failing_parts", "gauge", "{part}", (),
    "Parts of this node that keep failing; above 0 its health is NOT_SERVING.",
    "Two failures in a row of one part.",
    "Its log names the part and the error.",
)  # fmt: skip
NODE_MEMORY: Final = Metric(
    "nervenet.node.memory", "gauge", "By", ("use",),
    "Memory of this node as its limit counts it: `used` and `limit`.",
    "Workflows and journals in memory.",
    "`used` near `limit`: add nodes, or raise `max_memory`.",
)  # fmt: skip
LEASE_LEFT: Final = Metric(
    "nervenet.lease.remaining", "gauge", "s", (),
    "Seconds for which this process is certainly a member; 0 if its lease may be gone.",
    "It is renewed every third of a lease. etcd that does not answer lets it fall.",
    "0 for long: etcd is out of reach. Running workflows go on; nothing is adopted.",
    "node, agent",
)  # fmt: skip

# ── connections and the process ──────────────────────────────────────────────────────────────────────────────────────

RPC_SERVER: Final = Metric(
    "rpc.server.call.duration", "histogram", "s", ("rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"),
    "Time of calls that this process served.",
    "A call ends. Waits (`AwaitWorkflows`, `StreamStarts`, `WatchWorkflow`, `Heartbeat`, and starts with `wait`, among them those of a client "
    "that runs one workflow at a time) last as long as their caller wants.",
    "`UNAVAILABLE`: Redis or etcd is away. `RESOURCE_EXHAUSTED`: a limit. `UNAUTHENTICATED`: a wrong token.",
    "node, agent",
    bounds=_RPC,
)  # fmt: skip
RPC_CLIENT: Final = Metric(
    "rpc.client.call.duration", "histogram", "s", ("rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"),
    "Time of this node's calls to etcd: each try, not the whole patience.",
    "A call to etcd, and each renewal of a lease (`LeaseKeepAlive`).",
    "Above 0.1 s: etcd's disk is slow, or it is far away. Errors: see `docs/operations.md`.",
    bounds=_RPC,
)  # fmt: skip
REDIS_CONNECTED: Final = Metric(
    "nervenet.redis.connected", "gauge", "1", (),
    "1 while the connection for commands to Redis stands.",
    "A connection breaks, and is made again.",
    "0: see `docs/operations.md`.",
    "node, agent",
)  # fmt: skip
REDIS_RECONNECTS: Final = Metric(
    "nervenet.redis.reconnects", "counter", "{connection}", (),
    "Connections to Redis that were made again.",
    "A restart, a failover, a broken network.",
    "Many: look at Redis' log and at the network.",
    "node, agent",
)  # fmt: skip
REDIS_RETRIES: Final = Metric(
    "nervenet.redis.retries", "counter", "{command}", (),
    "Commands that were sent again.",
    "A broken connection, or an answer such as LOADING or OOM.",
    "As above.",
    "node, agent",
)  # fmt: skip
REDIS_COMMANDS: Final = Metric(
    "nervenet.redis.commands", "counter", "{command}", (),
    "Commands that were written to Redis.",
    "All work on the data plane.",
    "None.",
    "node, agent",
)  # fmt: skip
REDIS_BATCH: Final = Metric(
    "nervenet.redis.batch.size", "histogram", "{command}", (),
    "Commands in one write.",
    "All commands of one tick of the event loop leave together: it grows with the load.",
    "None.",
    "node, agent",
    bounds=_BATCH,
)  # fmt: skip
REDIS_ROUND_TRIP: Final = Metric(
    "nervenet.redis.round_trip.duration", "histogram", "s", (),
    "Time from a write to the reply to its last command. One write in four is measured.",
    "Redis' speed, the network, and this process' own loop.",
    "Above 0.05 s: compare with `nervenet.loop.lag`, then look at Redis (`SLOWLOG`, its CPU, its disk).",
    "node, agent",
    bounds=_SHORT,
)  # fmt: skip
ARCHIVE_WAITING: Final = Metric(
    "nervenet.archive.waiting", "gauge", "{run}", (),
    "Closed runs of the namespace that are not in the archive yet. Every node tells the same number.",
    "Workflows close; nodes write them to the archive.",
    "It grows: the archive takes nothing or is too slow. Look at a node's log and run `nervenet doctor`.",
)  # fmt: skip
ARCHIVE_AGE: Final = Metric(
    "nervenet.archive.oldest.age", "gauge", "s", (),
    "How long ago the run closed that waits longest for the archive; 0: none waits.",
    "The archive takes nothing, or takes less than what closes.",
    "Repair the archive before `retention` and `archive_hold` have passed: then Redis forgets those runs.",
)  # fmt: skip
ARCHIVE_RUNS: Final = Metric(
    "nervenet.archive.runs", "counter", "{run}", (),
    "Closed runs that this node has archived.",
    "Workflows close.",
    "None.",
)  # fmt: skip
ARCHIVE_BYTES: Final = Metric(
    "nervenet.archive.io", "counter", "By", (),
    "Bytes that this node has written to the archive.",
    "Runs are archived.",
    "Divide by `nervenet.archive.runs` for the size of a run.",
)  # fmt: skip
ARCHIVE_FAILURES: Final = Metric(
    "nervenet.archive.failures", "counter", "{call}", (),
    "Calls of the archive that failed. Each is made again.",
    "The folder or the bucket is away, full, slow, or refuses the credentials.",
    "The log has the cause. No workflow waits for the archive, but Redis keeps what waits.",
)  # fmt: skip
ARCHIVE_LOST: Final = Metric(
    "nervenet.archive.lost", "counter", "{run}", (),
    "Closed runs that Redis forgot before they were archived.",
    "The archive took nothing for longer than `retention` and `archive_hold` together, or somebody deleted keys.",
    "The log names each run. Raise `archive_hold`, and look at `nervenet.archive.oldest.age` sooner.",
)  # fmt: skip
BLOB_BYTES: Final = Metric(
    "nervenet.blob.io", "counter", "By", ("direction",),
    "Bytes of large values that this process has written to the blob store, and read from it.",
    "Values above `blob_threshold` are recorded, sent to agents, replayed or shown.",
    "None. What is written is what Redis does not hold.",
    where="node, agent",
)  # fmt: skip
BLOB_FAILURES: Final = Metric(
    "nervenet.blob.failures", "counter", "{call}", ("reason",),
    "Calls of the blob store that failed: it was `away`, or a value was `missing` or damaged.",
    "The folder or the bucket is away, full, slow or refuses the credentials; or somebody deleted objects.",
    "away: repair it, every call is made again. missing: the workflow is BLOCKED or its task fails, and says which object it wants.",
    where="node, agent",
)  # fmt: skip
BLOBS_REMOVED: Final = Metric(
    "nervenet.blob.removed", "counter", "{object}", (),
    "Objects that were removed from the blob store because no workflow has them any more.",
    "Workflows expire; a crash left a value without a reference.",
    "None.",
    where="node, agent",
)  # fmt: skip
LOOP_LAG: Final = Metric(
    "nervenet.loop.lag", "histogram", "s", (),
    "How much later than planned the event loop called a timer.",
    "Code that blocks the loop, or a machine without free CPU. Looked at four times a second.",
    "On an agent: a handler blocks. On a node: more nodes. Everywhere: CPU limits.",
    "node, agent",
    bounds=_LAG,
)  # fmt: skip
UNREADABLE: Final = Metric(
    "nervenet.records.unreadable", "counter", "{record}", (),
    "Records in Redis that could not be read: each was skipped, or has blocked its workflow.",
    "Another program, or a newer release, wrote to nervenet's keys.",
    "The log names the key once. See `docs/operations.md`.",
    "node, agent",
)  # fmt: skip
CPU_TIME: Final = Metric(
    "process.cpu.time", "counter", "s", (),
    "CPU seconds that this process has used.",
    "Work.",
    "A node near 1 per second is at its limit: add nodes.",
    "node, agent",
)  # fmt: skip
MEMORY: Final = Metric(
    "process.memory.usage", "gauge", "By", (),
    "Memory of this process that is in RAM.",
    "Work.",
    "Compare with the limit of its container.",
    "node, agent",
)  # fmt: skip
BUILD: Final = Metric(
    "nervenet.build.info", "gauge", "1", ("version", "python"),
    "Always 1: which release runs on which Python.",
    "A deploy.",
    "More than one version for long: a deploy is stuck.",
    "node, agent",
)  # fmt: skip
LABELS_DROPPED: Final = Metric(
    "nervenet.metrics.labels_dropped", "counter", "{event}", ("metric",),
    "Times that a label set was counted under `_other`, because its metric had 500 already.",
    "More names of definitions, capabilities or models than that, or an allowed label of callers with too many values.",
    "Take the label out of `metrics_labels`.",
    "node, agent",
)  # fmt: skip

ALL: Final[tuple[Metric, ...]] = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
PLACE: Final = {metric.name: place for place, metric in enumerate(ALL)}
BY_NAME: Final = {metric.name: metric for metric in ALL}
