from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nervenet.v1 import agent_pb2 as _agent_pb2
from nervenet.v1 import common_pb2 as _common_pb2
from nervenet.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeAgentRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class DescribeAgentResponse(_message.Message):
    __slots__ = ("agent", "load")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    agent: _agent_pb2.AgentRecord
    load: _agent_pb2.Load
    def __init__(self, agent: _Optional[_Union[_agent_pb2.AgentRecord, _Mapping]] = ..., load: _Optional[_Union[_agent_pb2.Load, _Mapping]] = ...) -> None: ...

class GetLoadRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class GetLoadResponse(_message.Message):
    __slots__ = ("load",)
    LOAD_FIELD_NUMBER: _ClassVar[int]
    load: _agent_pb2.Load
    def __init__(self, load: _Optional[_Union[_agent_pb2.Load, _Mapping]] = ...) -> None: ...

class ActiveTask(_message.Message):
    __slots__ = ("task_id", "workflow_id", "step", "run", "attempt", "capability", "start_time", "fraction", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    workflow_id: str
    step: str
    run: int
    attempt: int
    capability: str
    start_time: _timestamp_pb2.Timestamp
    fraction: float
    message: str
    def __init__(self, task_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., step: _Optional[str] = ..., run: _Optional[int] = ..., attempt: _Optional[int] = ..., capability: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class ListActiveTasksRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class ListActiveTasksResponse(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[ActiveTask]
    def __init__(self, tasks: _Optional[_Iterable[_Union[ActiveTask, _Mapping]]] = ...) -> None: ...

class DrainAgentRequest(_message.Message):
    __slots__ = ("agent_id", "grace")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    grace: _duration_pb2.Duration
    def __init__(self, agent_id: _Optional[str] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainAgentResponse(_message.Message):
    __slots__ = ("state", "active")
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    state: _agent_pb2.AgentState
    active: int
    def __init__(self, state: _Optional[_Union[_agent_pb2.AgentState, str]] = ..., active: _Optional[int] = ...) -> None: ...

class ResumeAgentRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class ResumeAgentResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: _agent_pb2.AgentState
    def __init__(self, state: _Optional[_Union[_agent_pb2.AgentState, str]] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("agent_id", "task_id", "run", "attempt", "reason")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    task_id: str
    run: int
    attempt: int
    reason: str
    def __init__(self, agent_id: _Optional[str] = ..., task_id: _Optional[str] = ..., run: _Optional[int] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: bool = ...) -> None: ...

class ConnectRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ConnectRequestItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ConnectRequestItem, _Mapping]]] = ...) -> None: ...

class ConnectRequestItem(_message.Message):
    __slots__ = ("hello", "task_ack", "task_report", "task_completion", "status", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    TASK_ACK_FIELD_NUMBER: _ClassVar[int]
    TASK_REPORT_FIELD_NUMBER: _ClassVar[int]
    TASK_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    task_ack: TaskAck
    task_report: TaskReport
    task_completion: TaskCompletion
    status: Status
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., task_ack: _Optional[_Union[TaskAck, _Mapping]] = ..., task_report: _Optional[_Union[TaskReport, _Mapping]] = ..., task_completion: _Optional[_Union[TaskCompletion, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("agent", "credit", "lease_id", "running", "protocol_version")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    agent: _agent_pb2.AgentRecord
    credit: int
    lease_id: int
    running: _containers.RepeatedCompositeFieldContainer[HeldTask]
    protocol_version: int
    def __init__(self, agent: _Optional[_Union[_agent_pb2.AgentRecord, _Mapping]] = ..., credit: _Optional[int] = ..., lease_id: _Optional[int] = ..., running: _Optional[_Iterable[_Union[HeldTask, _Mapping]]] = ..., protocol_version: _Optional[int] = ...) -> None: ...

class HeldTask(_message.Message):
    __slots__ = ("task", "start_time", "checkpoint")
    TASK_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.TaskEnvelope
    start_time: _timestamp_pb2.Timestamp
    checkpoint: _common_pb2.Payload
    def __init__(self, task: _Optional[_Union[_task_pb2.TaskEnvelope, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., checkpoint: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ...) -> None: ...

class TaskAck(_message.Message):
    __slots__ = ("task_id", "attempt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class TaskReport(_message.Message):
    __slots__ = ("task_id", "progress")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    progress: _task_pb2.TaskProgress
    def __init__(self, task_id: _Optional[str] = ..., progress: _Optional[_Union[_task_pb2.TaskProgress, _Mapping]] = ...) -> None: ...

class TaskCompletion(_message.Message):
    __slots__ = ("task_id", "result")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    result: _task_pb2.TaskResult
    def __init__(self, task_id: _Optional[str] = ..., result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("load", "credit")
    LOAD_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    load: _agent_pb2.Load
    credit: int
    def __init__(self, load: _Optional[_Union[_agent_pb2.Load, _Mapping]] = ..., credit: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ConnectResponseItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ConnectResponseItem, _Mapping]]] = ...) -> None: ...

class ConnectResponseItem(_message.Message):
    __slots__ = ("welcome", "task", "result_ack", "task_cancel", "drain", "rejected", "resume", "status_ack", "reconnect")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    RESULT_ACK_FIELD_NUMBER: _ClassVar[int]
    TASK_CANCEL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    STATUS_ACK_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    task: _task_pb2.TaskEnvelope
    result_ack: ResultAck
    task_cancel: TaskCancel
    drain: Drain
    rejected: Rejected
    resume: Resume
    status_ack: StatusAck
    reconnect: Reconnect
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.TaskEnvelope, _Mapping]] = ..., result_ack: _Optional[_Union[ResultAck, _Mapping]] = ..., task_cancel: _Optional[_Union[TaskCancel, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., status_ack: _Optional[_Union[StatusAck, _Mapping]] = ..., reconnect: _Optional[_Union[Reconnect, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("agent_id", "lease_id", "status_interval", "node_id", "namespace", "lease_ttl", "reconnect_within", "payload_limit", "max_credit", "nodes", "protocol_version")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_WITHIN_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_CREDIT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    lease_id: int
    status_interval: _duration_pb2.Duration
    node_id: str
    namespace: str
    lease_ttl: _duration_pb2.Duration
    reconnect_within: _duration_pb2.Duration
    payload_limit: int
    max_credit: int
    nodes: _containers.RepeatedScalarFieldContainer[str]
    protocol_version: int
    def __init__(self, agent_id: _Optional[str] = ..., lease_id: _Optional[int] = ..., status_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., node_id: _Optional[str] = ..., namespace: _Optional[str] = ..., lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., reconnect_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., payload_limit: _Optional[int] = ..., max_credit: _Optional[int] = ..., nodes: _Optional[_Iterable[str]] = ..., protocol_version: _Optional[int] = ...) -> None: ...

class ResultAck(_message.Message):
    __slots__ = ("task_id", "attempt", "recorded")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    recorded: bool
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., recorded: bool = ...) -> None: ...

class TaskCancel(_message.Message):
    __slots__ = ("task_id", "attempt", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("grace",)
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusAck(_message.Message):
    __slots__ = ("lease_ttl",)
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    lease_ttl: _duration_pb2.Duration
    def __init__(self, lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Reconnect(_message.Message):
    __slots__ = ("nodes", "reason")
    NODES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("reason", "message", "task_id", "attempt")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    task_id: str
    attempt: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., task_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...
