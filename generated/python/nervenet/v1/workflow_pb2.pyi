from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nervenet.v1 import common_pb2 as _common_pb2
from nervenet.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkflowState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKFLOW_STATE_UNSPECIFIED: _ClassVar[WorkflowState]
    WORKFLOW_STATE_RUNNING: _ClassVar[WorkflowState]
    WORKFLOW_STATE_WAITING_FOR_HUMAN: _ClassVar[WorkflowState]
    WORKFLOW_STATE_BLOCKED: _ClassVar[WorkflowState]
    WORKFLOW_STATE_CANCELING: _ClassVar[WorkflowState]
    WORKFLOW_STATE_SUCCEEDED: _ClassVar[WorkflowState]
    WORKFLOW_STATE_FAILED: _ClassVar[WorkflowState]
    WORKFLOW_STATE_CANCELED: _ClassVar[WorkflowState]
    WORKFLOW_STATE_TIMED_OUT: _ClassVar[WorkflowState]

class WaitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_KIND_UNSPECIFIED: _ClassVar[WaitKind]
    WAIT_KIND_BLOCKED: _ClassVar[WaitKind]
    WAIT_KIND_NODE: _ClassVar[WaitKind]
    WAIT_KIND_RETRY: _ClassVar[WaitKind]
    WAIT_KIND_HUMAN: _ClassVar[WaitKind]
    WAIT_KIND_QUEUED: _ClassVar[WaitKind]
    WAIT_KIND_RUNNING: _ClassVar[WaitKind]
    WAIT_KIND_CHILD: _ClassVar[WaitKind]
    WAIT_KIND_DELIVERY: _ClassVar[WaitKind]
    WAIT_KIND_SIGNAL: _ClassVar[WaitKind]
    WAIT_KIND_SLEEP: _ClassVar[WaitKind]
    WAIT_KIND_TIME_LIMIT: _ClassVar[WaitKind]

class EscalationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ESCALATION_STATE_UNSPECIFIED: _ClassVar[EscalationState]
    ESCALATION_STATE_OPEN: _ClassVar[EscalationState]
    ESCALATION_STATE_RESOLVED: _ClassVar[EscalationState]
    ESCALATION_STATE_EXPIRED: _ClassVar[EscalationState]
    ESCALATION_STATE_WITHDRAWN: _ClassVar[EscalationState]

class EscalationAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ESCALATION_ACTION_UNSPECIFIED: _ClassVar[EscalationAction]
    ESCALATION_ACTION_RETRY: _ClassVar[EscalationAction]
    ESCALATION_ACTION_COMPLETE: _ClassVar[EscalationAction]
    ESCALATION_ACTION_FAIL: _ClassVar[EscalationAction]
    ESCALATION_ACTION_CANCEL_WORKFLOW: _ClassVar[EscalationAction]
WORKFLOW_STATE_UNSPECIFIED: WorkflowState
WORKFLOW_STATE_RUNNING: WorkflowState
WORKFLOW_STATE_WAITING_FOR_HUMAN: WorkflowState
WORKFLOW_STATE_BLOCKED: WorkflowState
WORKFLOW_STATE_CANCELING: WorkflowState
WORKFLOW_STATE_SUCCEEDED: WorkflowState
WORKFLOW_STATE_FAILED: WorkflowState
WORKFLOW_STATE_CANCELED: WorkflowState
WORKFLOW_STATE_TIMED_OUT: WorkflowState
WAIT_KIND_UNSPECIFIED: WaitKind
WAIT_KIND_BLOCKED: WaitKind
WAIT_KIND_NODE: WaitKind
WAIT_KIND_RETRY: WaitKind
WAIT_KIND_HUMAN: WaitKind
WAIT_KIND_QUEUED: WaitKind
WAIT_KIND_RUNNING: WaitKind
WAIT_KIND_CHILD: WaitKind
WAIT_KIND_DELIVERY: WaitKind
WAIT_KIND_SIGNAL: WaitKind
WAIT_KIND_SLEEP: WaitKind
WAIT_KIND_TIME_LIMIT: WaitKind
ESCALATION_STATE_UNSPECIFIED: EscalationState
ESCALATION_STATE_OPEN: EscalationState
ESCALATION_STATE_RESOLVED: EscalationState
ESCALATION_STATE_EXPIRED: EscalationState
ESCALATION_STATE_WITHDRAWN: EscalationState
ESCALATION_ACTION_UNSPECIFIED: EscalationAction
ESCALATION_ACTION_RETRY: EscalationAction
ESCALATION_ACTION_COMPLETE: EscalationAction
ESCALATION_ACTION_FAIL: EscalationAction
ESCALATION_ACTION_CANCEL_WORKFLOW: EscalationAction

class Blocked(_message.Message):
    __slots__ = ("expected", "found", "where", "agreed_steps", "detail", "time", "error")
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    AGREED_STEPS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    expected: str
    found: str
    where: str
    agreed_steps: int
    detail: str
    time: _timestamp_pb2.Timestamp
    error: str
    def __init__(self, expected: _Optional[str] = ..., found: _Optional[str] = ..., where: _Optional[str] = ..., agreed_steps: _Optional[int] = ..., detail: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ("kind", "count", "words", "step", "capability", "signal", "since_time", "due_time", "agent_id", "attempt", "max_attempts", "last_failure", "question", "escalation_id", "workflow_id", "reason", "alive_time", "fraction", "stuck")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ALIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    STUCK_FIELD_NUMBER: _ClassVar[int]
    kind: WaitKind
    count: int
    words: str
    step: str
    capability: str
    signal: str
    since_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    agent_id: str
    attempt: int
    max_attempts: int
    last_failure: _common_pb2.Failure
    question: str
    escalation_id: str
    workflow_id: str
    reason: str
    alive_time: _timestamp_pb2.Timestamp
    fraction: float
    stuck: bool
    def __init__(self, kind: _Optional[_Union[WaitKind, str]] = ..., count: _Optional[int] = ..., words: _Optional[str] = ..., step: _Optional[str] = ..., capability: _Optional[str] = ..., signal: _Optional[str] = ..., since_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., agent_id: _Optional[str] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., last_failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., question: _Optional[str] = ..., escalation_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., reason: _Optional[str] = ..., alive_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., fraction: _Optional[float] = ..., stuck: bool = ...) -> None: ...

class UnreadSignal(_message.Message):
    __slots__ = ("signal", "count", "oldest_time")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    signal: str
    count: int
    oldest_time: _timestamp_pb2.Timestamp
    def __init__(self, signal: _Optional[str] = ..., count: _Optional[int] = ..., oldest_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Workflow(_message.Message):
    __slots__ = ("workflow_id", "run", "definition", "version", "state", "input", "output", "failure", "view", "tasks", "start_time", "close_time", "labels", "trace_id", "node_id", "blocked", "suppressed_duplicates", "partial", "adoptions", "journal_entries", "at", "note", "open_escalations", "waits", "more_waits", "unread_signals", "archived", "task_groups", "task_count", "usage")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    ADOPTIONS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    OPEN_ESCALATIONS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    MORE_WAITS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    TASK_GROUPS_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run: int
    definition: str
    version: int
    state: WorkflowState
    input: _common_pb2.Payload
    output: _common_pb2.Payload
    failure: _common_pb2.Failure
    view: _common_pb2.Payload
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    start_time: _timestamp_pb2.Timestamp
    close_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    trace_id: str
    node_id: str
    blocked: Blocked
    suppressed_duplicates: int
    partial: bool
    adoptions: int
    journal_entries: int
    at: str
    note: str
    open_escalations: _containers.RepeatedScalarFieldContainer[str]
    waits: _containers.RepeatedCompositeFieldContainer[Wait]
    more_waits: int
    unread_signals: _containers.RepeatedCompositeFieldContainer[UnreadSignal]
    archived: bool
    task_groups: _containers.RepeatedCompositeFieldContainer[TaskGroup]
    task_count: int
    usage: _containers.RepeatedCompositeFieldContainer[_common_pb2.TokenUsage]
    def __init__(self, workflow_id: _Optional[str] = ..., run: _Optional[int] = ..., definition: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[WorkflowState, str]] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., output: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., view: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., close_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., trace_id: _Optional[str] = ..., node_id: _Optional[str] = ..., blocked: _Optional[_Union[Blocked, _Mapping]] = ..., suppressed_duplicates: _Optional[int] = ..., partial: bool = ..., adoptions: _Optional[int] = ..., journal_entries: _Optional[int] = ..., at: _Optional[str] = ..., note: _Optional[str] = ..., open_escalations: _Optional[_Iterable[str]] = ..., waits: _Optional[_Iterable[_Union[Wait, _Mapping]]] = ..., more_waits: _Optional[int] = ..., unread_signals: _Optional[_Iterable[_Union[UnreadSignal, _Mapping]]] = ..., archived: bool = ..., task_groups: _Optional[_Iterable[_Union[TaskGroup, _Mapping]]] = ..., task_count: _Optional[int] = ..., usage: _Optional[_Iterable[_Union[_common_pb2.TokenUsage, _Mapping]]] = ...) -> None: ...

class TaskGroup(_message.Message):
    __slots__ = ("name", "capability", "state_counts", "troubled", "start_time", "end_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    STATE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TROUBLED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    capability: str
    state_counts: _containers.RepeatedCompositeFieldContainer[TaskStateCount]
    troubled: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., capability: _Optional[str] = ..., state_counts: _Optional[_Iterable[_Union[TaskStateCount, _Mapping]]] = ..., troubled: _Optional[int] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaskStateCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: _task_pb2.TaskState
    count: int
    def __init__(self, state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., count: _Optional[int] = ...) -> None: ...

class ParentStep(_message.Message):
    __slots__ = ("workflow_id", "run", "step")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run: int
    step: str
    def __init__(self, workflow_id: _Optional[str] = ..., run: _Optional[int] = ..., step: _Optional[str] = ...) -> None: ...

class StartAttributes(_message.Message):
    __slots__ = ("definition", "version", "runtime", "input", "seed", "labels", "timeout", "trace", "span_id", "starter", "parent")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    STARTER_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    definition: str
    version: int
    runtime: str
    input: _common_pb2.Payload
    seed: bytes
    labels: _containers.ScalarMap[str, str]
    timeout: _duration_pb2.Duration
    trace: _common_pb2.TraceContext
    span_id: bytes
    starter: str
    parent: ParentStep
    def __init__(self, definition: _Optional[str] = ..., version: _Optional[int] = ..., runtime: _Optional[str] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., seed: _Optional[bytes] = ..., labels: _Optional[_Mapping[str, str]] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., trace: _Optional[_Union[_common_pb2.TraceContext, _Mapping]] = ..., span_id: _Optional[bytes] = ..., starter: _Optional[str] = ..., parent: _Optional[_Union[ParentStep, _Mapping]] = ...) -> None: ...

class TimerAttributes(_message.Message):
    __slots__ = ("due_time",)
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    due_time: _timestamp_pb2.Timestamp
    def __init__(self, due_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SignalAttributes(_message.Message):
    __slots__ = ("signal", "payload", "sender")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    signal: str
    payload: _common_pb2.Payload
    sender: str
    def __init__(self, signal: _Optional[str] = ..., payload: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., sender: _Optional[str] = ...) -> None: ...

class EscalatedAttributes(_message.Message):
    __slots__ = ("question",)
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    question: _task_pb2.Question
    def __init__(self, question: _Optional[_Union[_task_pb2.Question, _Mapping]] = ...) -> None: ...

class DecidedAttributes(_message.Message):
    __slots__ = ("action", "value", "attempts", "comment", "resolver", "expired")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    RESOLVER_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    action: EscalationAction
    value: _common_pb2.Payload
    attempts: int
    comment: str
    resolver: str
    expired: bool
    def __init__(self, action: _Optional[_Union[EscalationAction, str]] = ..., value: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., attempts: _Optional[int] = ..., comment: _Optional[str] = ..., resolver: _Optional[str] = ..., expired: bool = ...) -> None: ...

class PatchAttributes(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: bool
    def __init__(self, answer: bool = ...) -> None: ...

class ChildAttributes(_message.Message):
    __slots__ = ("workflow_id", "definition", "failure")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    definition: str
    failure: _common_pb2.Failure
    def __init__(self, workflow_id: _Optional[str] = ..., definition: _Optional[str] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class SentAttributes(_message.Message):
    __slots__ = ("workflow_id", "signal", "failure")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    signal: str
    failure: _common_pb2.Failure
    def __init__(self, workflow_id: _Optional[str] = ..., signal: _Optional[str] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class CancelAttributes(_message.Message):
    __slots__ = ("reason", "requester", "timeout", "journal_full")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FULL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    requester: str
    timeout: bool
    journal_full: bool
    def __init__(self, reason: _Optional[str] = ..., requester: _Optional[str] = ..., timeout: bool = ..., journal_full: bool = ...) -> None: ...

class CloseAttributes(_message.Message):
    __slots__ = ("state", "output", "failure")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    state: WorkflowState
    output: _common_pb2.Payload
    failure: _common_pb2.Failure
    def __init__(self, state: _Optional[_Union[WorkflowState, str]] = ..., output: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class JournalEntry(_message.Message):
    __slots__ = ("sequence", "name", "time", "actor", "start", "task", "timer", "signal", "escalated", "decided", "patch", "cancel", "close", "progress", "child", "sent")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TIMER_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CHILD_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    name: str
    time: _timestamp_pb2.Timestamp
    actor: str
    start: StartAttributes
    task: _task_pb2.TaskResult
    timer: TimerAttributes
    signal: SignalAttributes
    escalated: EscalatedAttributes
    decided: DecidedAttributes
    patch: PatchAttributes
    cancel: CancelAttributes
    close: CloseAttributes
    progress: _task_pb2.TaskProgress
    child: ChildAttributes
    sent: SentAttributes
    def __init__(self, sequence: _Optional[int] = ..., name: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., start: _Optional[_Union[StartAttributes, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., timer: _Optional[_Union[TimerAttributes, _Mapping]] = ..., signal: _Optional[_Union[SignalAttributes, _Mapping]] = ..., escalated: _Optional[_Union[EscalatedAttributes, _Mapping]] = ..., decided: _Optional[_Union[DecidedAttributes, _Mapping]] = ..., patch: _Optional[_Union[PatchAttributes, _Mapping]] = ..., cancel: _Optional[_Union[CancelAttributes, _Mapping]] = ..., close: _Optional[_Union[CloseAttributes, _Mapping]] = ..., progress: _Optional[_Union[_task_pb2.TaskProgress, _Mapping]] = ..., child: _Optional[_Union[ChildAttributes, _Mapping]] = ..., sent: _Optional[_Union[SentAttributes, _Mapping]] = ...) -> None: ...

class EscalationResolution(_message.Message):
    __slots__ = ("action", "value", "attempts", "comment", "resolver")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    RESOLVER_FIELD_NUMBER: _ClassVar[int]
    action: EscalationAction
    value: _common_pb2.Payload
    attempts: int
    comment: str
    resolver: str
    def __init__(self, action: _Optional[_Union[EscalationAction, str]] = ..., value: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., attempts: _Optional[int] = ..., comment: _Optional[str] = ..., resolver: _Optional[str] = ...) -> None: ...

class Escalation(_message.Message):
    __slots__ = ("escalation_id", "workflow_id", "run", "step", "question", "state", "create_time", "resolve_time", "resolution", "definition")
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    escalation_id: str
    workflow_id: str
    run: int
    step: str
    question: _task_pb2.Question
    state: EscalationState
    create_time: _timestamp_pb2.Timestamp
    resolve_time: _timestamp_pb2.Timestamp
    resolution: EscalationResolution
    definition: str
    def __init__(self, escalation_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run: _Optional[int] = ..., step: _Optional[str] = ..., question: _Optional[_Union[_task_pb2.Question, _Mapping]] = ..., state: _Optional[_Union[EscalationState, str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., resolve_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[EscalationResolution, _Mapping]] = ..., definition: _Optional[str] = ...) -> None: ...

class Definition(_message.Message):
    __slots__ = ("name", "version", "description", "steps", "output", "retry", "timeouts", "timeout", "create_time", "retention")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    description: str
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    output: str
    retry: _common_pb2.RetryPolicy
    timeouts: _common_pb2.Timeouts
    timeout: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    retention: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., description: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., output: _Optional[str] = ..., retry: _Optional[_Union[_common_pb2.RetryPolicy, _Mapping]] = ..., timeouts: _Optional[_Union[_common_pb2.Timeouts, _Mapping]] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., retention: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("name", "depends_on", "condition", "for_each", "call", "ask", "workflow", "value", "sleep", "retry", "timeouts", "selection", "labels", "recover", "publish")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    FOR_EACH_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SLEEP_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RECOVER_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    name: str
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    condition: str
    for_each: ForEach
    call: CallAction
    ask: AskAction
    workflow: WorkflowAction
    value: str
    sleep: _duration_pb2.Duration
    retry: _common_pb2.RetryPolicy
    timeouts: _common_pb2.Timeouts
    selection: _common_pb2.Selection
    labels: _containers.ScalarMap[str, str]
    recover: str
    publish: str
    def __init__(self, name: _Optional[str] = ..., depends_on: _Optional[_Iterable[str]] = ..., condition: _Optional[str] = ..., for_each: _Optional[_Union[ForEach, _Mapping]] = ..., call: _Optional[_Union[CallAction, _Mapping]] = ..., ask: _Optional[_Union[AskAction, _Mapping]] = ..., workflow: _Optional[_Union[WorkflowAction, _Mapping]] = ..., value: _Optional[str] = ..., sleep: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., retry: _Optional[_Union[_common_pb2.RetryPolicy, _Mapping]] = ..., timeouts: _Optional[_Union[_common_pb2.Timeouts, _Mapping]] = ..., selection: _Optional[_Union[_common_pb2.Selection, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., recover: _Optional[str] = ..., publish: _Optional[str] = ...) -> None: ...

class ForEach(_message.Message):
    __slots__ = ("items", "concurrency")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    items: str
    concurrency: int
    def __init__(self, items: _Optional[str] = ..., concurrency: _Optional[int] = ...) -> None: ...

class CallAction(_message.Message):
    __slots__ = ("capability", "input")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    capability: str
    input: str
    def __init__(self, capability: _Optional[str] = ..., input: _Optional[str] = ...) -> None: ...

class AskAction(_message.Message):
    __slots__ = ("question", "choices", "answer_schema", "context", "deadline", "default_answer", "assignee")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    question: str
    choices: _containers.RepeatedScalarFieldContainer[str]
    answer_schema: _struct_pb2.Struct
    context: str
    deadline: _duration_pb2.Duration
    default_answer: _struct_pb2.Value
    assignee: str
    def __init__(self, question: _Optional[str] = ..., choices: _Optional[_Iterable[str]] = ..., answer_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., context: _Optional[str] = ..., deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., default_answer: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., assignee: _Optional[str] = ...) -> None: ...

class WorkflowAction(_message.Message):
    __slots__ = ("definition", "version", "input")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    definition: str
    version: int
    input: str
    def __init__(self, definition: _Optional[str] = ..., version: _Optional[int] = ..., input: _Optional[str] = ...) -> None: ...
