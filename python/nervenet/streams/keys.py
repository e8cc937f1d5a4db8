# SPDX-License-Identifier: Apache-2.0
"""The key layout: the name of everything in Redis, and which names may become part of a key.

It hides the spelling of keys and of escalation ids; no other module builds a key. Braces are Redis Cluster hash tags:
all keys of one workflow are in one slot, so one script may use them.

Names are checked at the border, once, when they arrive (`check_workflow_id`, and `check_name` of `options`), because
they go into keys, channels, hash fields and log lines unescaped. The methods of `Keys` trust their arguments: they run
for every command.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from nervenet.options import check_name

__all__ = [
    "EscalationId",
    "Keys",
    "check_name",
    "check_namespace",
    "check_signal_id",
    "check_workflow_id",
    "escalation_id",
    "is_ours",
    "parse_escalation_id",
]

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_OURS: Final = re.compile(
    rb"nn:[^:]+:(?:running|restarting|escalations|definitions|retentions"
    rb"|(?:wf|inbox|wake|owned|queue|queues|closed|definition|checkpoints|checkpoint-runs|flows|archive):\{.*\}"
    rb"(?::[a-z]+|:run:\d+(?::journal)?)?)",
    re.DOTALL,
)
_WORKFLOW_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


class Keys:
    """The keys of one namespace, as bytes."""

    __slots__ = (
        "_closed",
        "_events",
        "_inbox",
        "_ns",
        "_owned",
        "_progress",
        "_queue",
        "_queued",
        "_queues",
        "_wake",
        "_wf",
        "archive",
        "definitions",
        "escalations",
        "namespace",
        "restarting",
        "retentions",
        "running",
    )

    def __init__(self, namespace: str) -> None:
        self.namespace = check_namespace(namespace)
        ns = self._ns = f"nn:{namespace}:".encode()
        self._wf = ns + b"wf:{"
        self._events = ns + b"events:{"
        self._progress = ns + b"progress:{"
        self._inbox = ns + b"inbox:{"
        self._queue = ns + b"queue:{"
        self._queued = ns + b"queued:{"
        self._queues = ns + b"queues:{"
        self._wake = ns + b"wake:{"
        self._owned = ns + b"owned:{"
        self._closed = ns + b"closed:{"
        self.running = ns + b"running"
        self.restarting = ns + b"restarting"
        self.escalations = ns + b"escalations"
        self.definitions = ns + b"definitions"
        self.retentions = ns + b"retentions"
        waiting = ns + b"archive:{runs}"
        self.archive = (waiting, *(waiting + part for part in (b":taken", b":batches", b":holders", b":members")))
        """What waits for the archive, and the batches that are being written (archive_take.lua)."""

    def __repr__(self) -> str:
        return f"<Keys {self.namespace}>"

    # ── of one workflow; all of them are in one slot ─────────────────────────────────────────────────────────────────

    def head(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}"

    def journal(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:journal"

    def live(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:live"

    def checkpoints(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:ckpt"

    def view(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:view"

    def copy_of_run(self, workflow_id: str, run: int) -> tuple[bytes, bytes]:
        """Head and journal of a run that waits for the archive while the next one is under way."""
        head = self._wf + workflow_id.encode() + b"}:run:%d" % run
        return head, head + b":journal"

    def written(self, workflow_id: str) -> tuple[bytes, bytes, bytes]:
        """Head, journal and checkpoints: the keys that an append writes. One call, because this is on the hot path."""
        head = self._wf + workflow_id.encode() + b"}"
        return head, head + b":journal", head + b":ckpt"

    def events(self, workflow_id: str) -> bytes:
        """The pub/sub channel that announces each change of the workflow. Messages may get lost."""
        return self._events + workflow_id.encode() + b"}"

    def progress(self, workflow_id: str) -> bytes:
        """The pub/sub channel that announces news in the live stream of the workflow. Messages may get lost."""
        return self._progress + workflow_id.encode() + b"}"

    # ── of one process ───────────────────────────────────────────────────────────────────────────────────────────────

    def inbox(self, process_id: str) -> bytes:
        return self._inbox + process_id.encode() + b"}"

    def wake(self, node_id: str) -> bytes:
        return self._wake + node_id.encode() + b"}"

    def owned(self, node_id: str) -> bytes:
        return self._owned + node_id.encode() + b"}"

    # ── of the whole namespace ───────────────────────────────────────────────────────────────────────────────────────

    def queue(self, capability: str, requirement: str = "") -> bytes:
        """The shared queue of a capability. `requirement` is the hash of the labels and version that its tasks
        require."""
        tag = f"{capability}/{requirement}" if requirement else capability
        return self._queue + tag.encode() + b"}"

    def queued(self, capability: str) -> bytes:
        """The pub/sub channel that announces tasks in the queues of a capability. Messages may get lost."""
        return self._queued + capability.encode() + b"}"

    def queues(self, capability: str) -> bytes:
        return self._queues + capability.encode() + b"}"

    def closed(self, day: str) -> bytes:
        return self._closed + day.encode() + b"}"

    def definition(self, name: str) -> bytes:
        return self._ns + b"definition:{" + name.encode() + b"}"

    # ── from a key or channel to its name ────────────────────────────────────────────────────────────────────────────

    def every(self, kind: str) -> str:
        """The SCAN pattern for all keys of a kind: `inbox`, `wake`, `owned`, `queue`, `queues`, `closed`."""
        return f"nn:{self.namespace}:{kind}:{{*}}"

    @property
    def processes_and_queues(self) -> str:
        """The SCAN pattern for `inbox`, `wake`, `owned`, `queue` and few others. No key of a workflow matches it: there may be millions."""
        return f"nn:{self.namespace}:[iowq]?[bnke]*:{{*}}"

    def tag(self, key: bytes) -> str:
        """The text between the braces of a key or channel: a workflow id, a process id, a capability or a day."""
        return key[key.index(b"{") + 1 : key.rindex(b"}")].decode()

    def tag_or_none(self, key: bytes) -> str | None:
        """The same for a key that any program may have written; None where it has no tag."""
        try:
            return self.tag(key)
        except ValueError:
            return None


def is_ours(key: bytes) -> bool:
    """Whether a key of a namespace is one of nervenet's, or of its integrations'."""
    return _OURS.fullmatch(key) is not None


# ── ids of escalations ───────────────────────────────────────────────────────────────────────────────────────────────


class EscalationId(NamedTuple):
    """The parts of `<workflow_id>/<step>#<question number>`. The first question of a step has number 1."""

    workflow_id: str
    step: str
    question_number: int


def escalation_id(workflow_id: str, step: str, question_number: int) -> str:
    return f"{workflow_id}/{step}#{question_number}"


def parse_escalation_id(text: str) -> EscalationId:
    """The parts of an escalation id; raises ValueError for any other text."""
    workflow_id, slash, rest = text.rpartition("/")
    step, hash_, number = rest.rpartition("#")
    if not (slash and hash_ and step and number.isascii() and number.isdigit()):
        raise ValueError(
            f"{text!r} is not an escalation id: it reads <workflow id>/<step>#<number>, like review-7/ask#1"
        )
    return EscalationId(check_workflow_id(workflow_id), step, int(number))


# ── checks at the border ─────────────────────────────────────────────────────────────────────────────────────────────


def check_namespace(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(
            f"{namespace!r} cannot be a namespace: it starts with a letter or digit and has at most 63 of letters, digits and . _ -"
        )
    return namespace


def check_workflow_id(workflow_id: str) -> str:
    """Return the id, or raise ValueError with a message for the user who chose it."""
    return _check_id(workflow_id, "workflow id")


def check_signal_id(signal_id: str) -> str:
    """Return the id, or raise ValueError. It becomes part of an entry's name, so the rules of workflow ids apply."""
    return _check_id(signal_id, "signal id")


def _check_id(text: str, what: str) -> str:
    if not _WORKFLOW_ID.fullmatch(text):
        raise ValueError(
            f"{_short(text)} cannot be a {what}: it starts with a letter or digit and has at most 200 of letters,"
            " digits and . _ : / @ -"
        )
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
