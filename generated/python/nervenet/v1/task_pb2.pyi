from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nervenet.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuestionSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_SOURCE_UNSPECIFIED: _ClassVar[QuestionSource]
    QUESTION_SOURCE_WORKFLOW: _ClassVar[QuestionSource]
    QUESTION_SOURCE_AGENT: _ClassVar[QuestionSource]
    QUESTION_SOURCE_EXHAUSTED: _ClassVar[QuestionSource]

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_WAITING_FOR_HUMAN: _ClassVar[TaskState]
    TASK_STATE_SUCCEEDED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_CANCELED: _ClassVar[TaskState]

class TaskPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_PHASE_UNSPECIFIED: _ClassVar[TaskPhase]
    TASK_PHASE_QUEUED: _ClassVar[TaskPhase]
    TASK_PHASE_RUNNING: _ClassVar[TaskPhase]
    TASK_PHASE_RETRY: _ClassVar[TaskPhase]
    TASK_PHASE_HUMAN: _ClassVar[TaskPhase]
QUESTION_SOURCE_UNSPECIFIED: QuestionSource
QUESTION_SOURCE_WORKFLOW: QuestionSource
QUESTION_SOURCE_AGENT: QuestionSource
QUESTION_SOURCE_EXHAUSTED: QuestionSource
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_WAITING_FOR_HUMAN: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_CANCELED: TaskState
TASK_PHASE_UNSPECIFIED: TaskPhase
TASK_PHASE_QUEUED: TaskPhase
TASK_PHASE_RUNNING: TaskPhase
TASK_PHASE_RETRY: TaskPhase
TASK_PHASE_HUMAN: TaskPhase

class TaskEnvelope(_message.Message):
    __slots__ = ("task_id", "workflow_id", "step", "capability", "attempt", "input", "trace", "deadline", "timeouts", "reply_to", "agent_id", "labels", "run", "avoid_agents", "hint", "enqueue_time", "input_digest", "checkpoint", "after_entry_id", "claim_later")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    AVOID_AGENTS_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    AFTER_ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    CLAIM_LATER_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    workflow_id: str
    step: str
    capability: str
    attempt: int
    input: _common_pb2.Payload
    trace: _common_pb2.TraceContext
    deadline: _timestamp_pb2.Timestamp
    timeouts: _common_pb2.Timeouts
    reply_to: str
    agent_id: str
    labels: _containers.ScalarMap[str, str]
    run: int
    avoid_agents: _containers.RepeatedScalarFieldContainer[str]
    hint: str
    enqueue_time: _timestamp_pb2.Timestamp
    input_digest: bytes
    checkpoint: _common_pb2.Payload
    after_entry_id: str
    claim_later: bool
    def __init__(self, task_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., step: _Optional[str] = ..., capability: _Optional[str] = ..., attempt: _Optional[int] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., trace: _Optional[_Union[_common_pb2.TraceContext, _Mapping]] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., timeouts: _Optional[_Union[_common_pb2.Timeouts, _Mapping]] = ..., reply_to: _Optional[str] = ..., agent_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., run: _Optional[int] = ..., avoid_agents: _Optional[_Iterable[str]] = ..., hint: _Optional[str] = ..., enqueue_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., input_digest: _Optional[bytes] = ..., checkpoint: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., after_entry_id: _Optional[str] = ..., claim_later: bool = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("output", "failure", "question", "usage", "start_time", "end_time", "agent_id", "attempt", "capability", "input_digest", "schedule_time", "blame_percent")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_TIME_FIELD_NUMBER: _ClassVar[int]
    BLAME_PERCENT_FIELD_NUMBER: _ClassVar[int]
    output: _common_pb2.Payload
    failure: _common_pb2.Failure
    question: Question
    usage: _containers.RepeatedCompositeFieldContainer[_common_pb2.TokenUsage]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    agent_id: str
    attempt: int
    capability: str
    input_digest: bytes
    schedule_time: _timestamp_pb2.Timestamp
    blame_percent: int
    def __init__(self, output: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., usage: _Optional[_Iterable[_Union[_common_pb2.TokenUsage, _Mapping]]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., agent_id: _Optional[str] = ..., attempt: _Optional[int] = ..., capability: _Optional[str] = ..., input_digest: _Optional[bytes] = ..., schedule_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., blame_percent: _Optional[int] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("text", "source", "choices", "context", "suggestion", "answer_schema", "default_answer", "deadline", "assignee", "failure")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    source: QuestionSource
    choices: _containers.RepeatedScalarFieldContainer[str]
    context: _common_pb2.Payload
    suggestion: _common_pb2.Payload
    answer_schema: str
    default_answer: _common_pb2.Payload
    deadline: _timestamp_pb2.Timestamp
    assignee: str
    failure: _common_pb2.Failure
    def __init__(self, text: _Optional[str] = ..., source: _Optional[_Union[QuestionSource, str]] = ..., choices: _Optional[_Iterable[str]] = ..., context: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., suggestion: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., answer_schema: _Optional[str] = ..., default_answer: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., assignee: _Optional[str] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class TaskProgress(_message.Message):
    __slots__ = ("step", "attempt", "agent_id", "fraction", "message", "partial", "partial_sequence", "time", "checkpoint")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    step: str
    attempt: int
    agent_id: str
    fraction: float
    message: str
    partial: _common_pb2.Payload
    partial_sequence: int
    time: _timestamp_pb2.Timestamp
    checkpoint: _common_pb2.Payload
    def __init__(self, step: _Optional[str] = ..., attempt: _Optional[int] = ..., agent_id: _Optional[str] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ..., partial: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., partial_sequence: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., checkpoint: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ...) -> None: ...

class TaskSpan(_message.Message):
    __slots__ = ("phase", "start_time", "end_time")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    phase: TaskPhase
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, phase: _Optional[_Union[TaskPhase, str]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("task_id", "step", "capability", "state", "attempt", "agent_id", "output", "failure", "schedule_time", "start_time", "end_time", "usage", "waits_for", "fraction", "failed_attempts", "escalation_id", "input", "input_problem", "spans", "queued_duration", "run_duration", "retry_duration", "human_duration", "max_attempts", "child_workflow_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    FAILED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_DURATION_FIELD_NUMBER: _ClassVar[int]
    RUN_DURATION_FIELD_NUMBER: _ClassVar[int]
    RETRY_DURATION_FIELD_NUMBER: _ClassVar[int]
    HUMAN_DURATION_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHILD_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step: str
    capability: str
    state: TaskState
    attempt: int
    agent_id: str
    output: _common_pb2.Payload
    failure: _common_pb2.Failure
    schedule_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    usage: _containers.RepeatedCompositeFieldContainer[_common_pb2.TokenUsage]
    waits_for: str
    fraction: float
    failed_attempts: _containers.RepeatedCompositeFieldContainer[_common_pb2.Failure]
    escalation_id: str
    input: _common_pb2.Payload
    input_problem: str
    spans: _containers.RepeatedCompositeFieldContainer[TaskSpan]
    queued_duration: _duration_pb2.Duration
    run_duration: _duration_pb2.Duration
    retry_duration: _duration_pb2.Duration
    human_duration: _duration_pb2.Duration
    max_attempts: int
    child_workflow_id: str
    def __init__(self, task_id: _Optional[str] = ..., step: _Optional[str] = ..., capability: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., attempt: _Optional[int] = ..., agent_id: _Optional[str] = ..., output: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., schedule_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., usage: _Optional[_Iterable[_Union[_common_pb2.TokenUsage, _Mapping]]] = ..., waits_for: _Optional[str] = ..., fraction: _Optional[float] = ..., failed_attempts: _Optional[_Iterable[_Union[_common_pb2.Failure, _Mapping]]] = ..., escalation_id: _Optional[str] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., input_problem: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[TaskSpan, _Mapping]]] = ..., queued_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., run_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., retry_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., human_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_attempts: _Optional[int] = ..., child_workflow_id: _Optional[str] = ...) -> None: ...
