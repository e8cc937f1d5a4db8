from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nervenet.v1 import common_pb2 as _common_pb2
from nervenet.v1 import workflow_pb2 as _workflow_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IfExists(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IF_EXISTS_UNSPECIFIED: _ClassVar[IfExists]
    IF_EXISTS_SAME: _ClassVar[IfExists]
    IF_EXISTS_ERROR: _ClassVar[IfExists]
    IF_EXISTS_RESTART_IF_CLOSED: _ClassVar[IfExists]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_NORMAL: _ClassVar[Durability]
    DURABILITY_STRICT: _ClassVar[Durability]
IF_EXISTS_UNSPECIFIED: IfExists
IF_EXISTS_SAME: IfExists
IF_EXISTS_ERROR: IfExists
IF_EXISTS_RESTART_IF_CLOSED: IfExists
DURABILITY_UNSPECIFIED: Durability
DURABILITY_NORMAL: Durability
DURABILITY_STRICT: Durability

class StartWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "definition", "version", "input", "labels", "timeout", "if_exists", "durability", "wait", "payload_format", "trace", "starter")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    STARTER_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    definition: str
    version: int
    input: _common_pb2.Payload
    labels: _containers.ScalarMap[str, str]
    timeout: _duration_pb2.Duration
    if_exists: IfExists
    durability: Durability
    wait: _duration_pb2.Duration
    payload_format: _common_pb2.PayloadFormat
    trace: _common_pb2.TraceContext
    starter: str
    def __init__(self, workflow_id: _Optional[str] = ..., definition: _Optional[str] = ..., version: _Optional[int] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., if_exists: _Optional[_Union[IfExists, str]] = ..., durability: _Optional[_Union[Durability, str]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ..., trace: _Optional[_Union[_common_pb2.TraceContext, _Mapping]] = ..., starter: _Optional[str] = ...) -> None: ...

class StartWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "created")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    workflow: _workflow_pb2.Workflow
    created: bool
    def __init__(self, workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ..., created: bool = ...) -> None: ...

class StartWorkflowsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[StartWorkflowRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[StartWorkflowRequest, _Mapping]]] = ...) -> None: ...

class StartOutcome(_message.Message):
    __slots__ = ("workflow_id", "created", "error", "workflow")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    created: bool
    error: RequestStatus
    workflow: _workflow_pb2.Workflow
    def __init__(self, workflow_id: _Optional[str] = ..., created: bool = ..., error: _Optional[_Union[RequestStatus, _Mapping]] = ..., workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ...) -> None: ...

class RequestStatus(_message.Message):
    __slots__ = ("code", "message", "reason", "metadata", "retry_after", "fields")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    metadata: _containers.ScalarMap[str, str]
    retry_after: _duration_pb2.Duration
    fields: _containers.RepeatedCompositeFieldContainer[FieldProblem]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[FieldProblem, _Mapping]]] = ...) -> None: ...

class FieldProblem(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class StartWorkflowsResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[StartOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[StartOutcome, _Mapping]]] = ...) -> None: ...

class StreamStartsRequest(_message.Message):
    __slots__ = ("number", "requests")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    requests: _containers.RepeatedCompositeFieldContainer[StartWorkflowRequest]
    def __init__(self, number: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[StartWorkflowRequest, _Mapping]]] = ...) -> None: ...

class StreamStartsResponse(_message.Message):
    __slots__ = ("number", "outcomes", "error")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    number: int
    outcomes: _containers.RepeatedCompositeFieldContainer[StartOutcome]
    error: RequestStatus
    def __init__(self, number: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[StartOutcome, _Mapping]]] = ..., error: _Optional[_Union[RequestStatus, _Mapping]] = ...) -> None: ...

class AwaitWorkflowsRequest(_message.Message):
    __slots__ = ("workflow_ids", "forget_workflow_ids", "payload_format")
    WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    FORGET_WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    forget_workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    payload_format: _common_pb2.PayloadFormat
    def __init__(self, workflow_ids: _Optional[_Iterable[str]] = ..., forget_workflow_ids: _Optional[_Iterable[str]] = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ...) -> None: ...

class AwaitWorkflowsResponse(_message.Message):
    __slots__ = ("workflows", "unknown_workflow_ids", "blocked_workflows")
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Workflow]
    unknown_workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    blocked_workflows: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Workflow]
    def __init__(self, workflows: _Optional[_Iterable[_Union[_workflow_pb2.Workflow, _Mapping]]] = ..., unknown_workflow_ids: _Optional[_Iterable[str]] = ..., blocked_workflows: _Optional[_Iterable[_Union[_workflow_pb2.Workflow, _Mapping]]] = ...) -> None: ...

class GetWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "wait", "payload_format", "include_task_payloads", "input_steps", "summarize_tasks")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_TASK_PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    INPUT_STEPS_FIELD_NUMBER: _ClassVar[int]
    SUMMARIZE_TASKS_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    wait: _duration_pb2.Duration
    payload_format: _common_pb2.PayloadFormat
    include_task_payloads: bool
    input_steps: _containers.RepeatedScalarFieldContainer[str]
    summarize_tasks: bool
    def __init__(self, workflow_id: _Optional[str] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ..., include_task_payloads: bool = ..., input_steps: _Optional[_Iterable[str]] = ..., summarize_tasks: bool = ...) -> None: ...

class GetWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: _workflow_pb2.Workflow
    def __init__(self, workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ...) -> None: ...

class ListWorkflowsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "definition", "labels", "started_after", "include_waits", "include_counts", "stuck", "retrying", "slow", "waiting_for", "stuck_after", "slow_after", "archived", "closed_after", "closed_before")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AFTER_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_WAITS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    STUCK_FIELD_NUMBER: _ClassVar[int]
    RETRYING_FIELD_NUMBER: _ClassVar[int]
    SLOW_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    STUCK_AFTER_FIELD_NUMBER: _ClassVar[int]
    SLOW_AFTER_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_workflow_pb2.WorkflowState]
    definition: str
    labels: _containers.ScalarMap[str, str]
    started_after: _timestamp_pb2.Timestamp
    include_waits: bool
    include_counts: bool
    stuck: bool
    retrying: bool
    slow: bool
    waiting_for: str
    stuck_after: _duration_pb2.Duration
    slow_after: _duration_pb2.Duration
    archived: bool
    closed_after: _timestamp_pb2.Timestamp
    closed_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_workflow_pb2.WorkflowState, str]]] = ..., definition: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., started_after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., include_waits: bool = ..., include_counts: bool = ..., stuck: bool = ..., retrying: bool = ..., slow: bool = ..., waiting_for: _Optional[str] = ..., stuck_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., slow_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., archived: bool = ..., closed_after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., closed_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListWorkflowsResponse(_message.Message):
    __slots__ = ("workflows", "next_page_token", "namespace_count", "state_counts", "uncounted")
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    UNCOUNTED_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Workflow]
    next_page_token: str
    namespace_count: int
    state_counts: _containers.RepeatedCompositeFieldContainer[StateCount]
    uncounted: int
    def __init__(self, workflows: _Optional[_Iterable[_Union[_workflow_pb2.Workflow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., namespace_count: _Optional[int] = ..., state_counts: _Optional[_Iterable[_Union[StateCount, _Mapping]]] = ..., uncounted: _Optional[int] = ...) -> None: ...

class StateCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: _workflow_pb2.WorkflowState
    count: int
    def __init__(self, state: _Optional[_Union[_workflow_pb2.WorkflowState, str]] = ..., count: _Optional[int] = ...) -> None: ...

class ListWaitsRequest(_message.Message):
    __slots__ = ("workflow_ids", "stuck_after")
    WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    STUCK_AFTER_FIELD_NUMBER: _ClassVar[int]
    workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    stuck_after: _duration_pb2.Duration
    def __init__(self, workflow_ids: _Optional[_Iterable[str]] = ..., stuck_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WorkflowWaits(_message.Message):
    __slots__ = ("workflow_id", "run", "waits", "more_waits")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    MORE_WAITS_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run: int
    waits: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Wait]
    more_waits: int
    def __init__(self, workflow_id: _Optional[str] = ..., run: _Optional[int] = ..., waits: _Optional[_Iterable[_Union[_workflow_pb2.Wait, _Mapping]]] = ..., more_waits: _Optional[int] = ...) -> None: ...

class ListWaitsResponse(_message.Message):
    __slots__ = ("workflows",)
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[WorkflowWaits]
    def __init__(self, workflows: _Optional[_Iterable[_Union[WorkflowWaits, _Mapping]]] = ...) -> None: ...

class ListJournalRequest(_message.Message):
    __slots__ = ("workflow_id", "page_size", "page_token", "after_sequence", "payload_format")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    page_size: int
    page_token: str
    after_sequence: int
    payload_format: _common_pb2.PayloadFormat
    def __init__(self, workflow_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., after_sequence: _Optional[int] = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ...) -> None: ...

class ListJournalResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.JournalEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_workflow_pb2.JournalEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "after_sequence", "include_progress", "include_partials", "payload_format")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    after_sequence: int
    include_progress: bool
    include_partials: bool
    payload_format: _common_pb2.PayloadFormat
    def __init__(self, workflow_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., include_progress: bool = ..., include_partials: bool = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ...) -> None: ...

class WatchWorkflowResponse(_message.Message):
    __slots__ = ("entry", "blocked")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    entry: _workflow_pb2.JournalEntry
    blocked: _workflow_pb2.Blocked
    def __init__(self, entry: _Optional[_Union[_workflow_pb2.JournalEntry, _Mapping]] = ..., blocked: _Optional[_Union[_workflow_pb2.Blocked, _Mapping]] = ...) -> None: ...

class SignalWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "signal", "payload", "request_id", "sender", "undeclared")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    UNDECLARED_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    signal: str
    payload: _common_pb2.Payload
    request_id: str
    sender: str
    undeclared: bool
    def __init__(self, workflow_id: _Optional[str] = ..., signal: _Optional[str] = ..., payload: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., request_id: _Optional[str] = ..., sender: _Optional[str] = ..., undeclared: bool = ...) -> None: ...

class SignalWorkflowResponse(_message.Message):
    __slots__ = ("sequence", "created")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    created: bool
    def __init__(self, sequence: _Optional[int] = ..., created: bool = ...) -> None: ...

class CancelWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "reason", "requester")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    reason: str
    requester: str
    def __init__(self, workflow_id: _Optional[str] = ..., reason: _Optional[str] = ..., requester: _Optional[str] = ...) -> None: ...

class CancelWorkflowResponse(_message.Message):
    __slots__ = ("state", "created")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    state: _workflow_pb2.WorkflowState
    created: bool
    def __init__(self, state: _Optional[_Union[_workflow_pb2.WorkflowState, str]] = ..., created: bool = ...) -> None: ...

class RetryWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class RetryWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "retried")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    workflow: _workflow_pb2.Workflow
    retried: bool
    def __init__(self, workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ..., retried: bool = ...) -> None: ...

class RestartWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "run", "version", "reason", "requester")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run: int
    version: int
    reason: str
    requester: str
    def __init__(self, workflow_id: _Optional[str] = ..., run: _Optional[int] = ..., version: _Optional[int] = ..., reason: _Optional[str] = ..., requester: _Optional[str] = ...) -> None: ...

class RestartWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "created")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    workflow: _workflow_pb2.Workflow
    created: bool
    def __init__(self, workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ..., created: bool = ...) -> None: ...

class RunTaskRequest(_message.Message):
    __slots__ = ("request_id", "capability", "input", "retry", "timeouts", "selection", "labels", "wait", "payload_format")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FORMAT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    capability: str
    input: _common_pb2.Payload
    retry: _common_pb2.RetryPolicy
    timeouts: _common_pb2.Timeouts
    selection: _common_pb2.Selection
    labels: _containers.ScalarMap[str, str]
    wait: _duration_pb2.Duration
    payload_format: _common_pb2.PayloadFormat
    def __init__(self, request_id: _Optional[str] = ..., capability: _Optional[str] = ..., input: _Optional[_Union[_common_pb2.Payload, _Mapping]] = ..., retry: _Optional[_Union[_common_pb2.RetryPolicy, _Mapping]] = ..., timeouts: _Optional[_Union[_common_pb2.Timeouts, _Mapping]] = ..., selection: _Optional[_Union[_common_pb2.Selection, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., payload_format: _Optional[_Union[_common_pb2.PayloadFormat, str]] = ...) -> None: ...

class RunTaskResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: _workflow_pb2.Workflow
    def __init__(self, workflow: _Optional[_Union[_workflow_pb2.Workflow, _Mapping]] = ...) -> None: ...

class ListEscalationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "workflow_id", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    workflow_id: str
    state: _workflow_pb2.EscalationState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., workflow_id: _Optional[str] = ..., state: _Optional[_Union[_workflow_pb2.EscalationState, str]] = ...) -> None: ...

class ListEscalationsResponse(_message.Message):
    __slots__ = ("escalations", "next_page_token", "open_count")
    ESCALATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OPEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    escalations: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Escalation]
    next_page_token: str
    open_count: int
    def __init__(self, escalations: _Optional[_Iterable[_Union[_workflow_pb2.Escalation, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., open_count: _Optional[int] = ...) -> None: ...

class GetEscalationRequest(_message.Message):
    __slots__ = ("escalation_id",)
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    escalation_id: str
    def __init__(self, escalation_id: _Optional[str] = ...) -> None: ...

class GetEscalationResponse(_message.Message):
    __slots__ = ("escalation",)
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    escalation: _workflow_pb2.Escalation
    def __init__(self, escalation: _Optional[_Union[_workflow_pb2.Escalation, _Mapping]] = ...) -> None: ...

class ResolveEscalationRequest(_message.Message):
    __slots__ = ("escalation_id", "resolution")
    ESCALATION_ID_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    escalation_id: str
    resolution: _workflow_pb2.EscalationResolution
    def __init__(self, escalation_id: _Optional[str] = ..., resolution: _Optional[_Union[_workflow_pb2.EscalationResolution, _Mapping]] = ...) -> None: ...

class ResolveEscalationResponse(_message.Message):
    __slots__ = ("escalation",)
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    escalation: _workflow_pb2.Escalation
    def __init__(self, escalation: _Optional[_Union[_workflow_pb2.Escalation, _Mapping]] = ...) -> None: ...

class PutDefinitionRequest(_message.Message):
    __slots__ = ("definition", "validate_only")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    definition: _workflow_pb2.Definition
    validate_only: bool
    def __init__(self, definition: _Optional[_Union[_workflow_pb2.Definition, _Mapping]] = ..., validate_only: bool = ...) -> None: ...

class PutDefinitionResponse(_message.Message):
    __slots__ = ("definition", "created")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    definition: _workflow_pb2.Definition
    created: bool
    def __init__(self, definition: _Optional[_Union[_workflow_pb2.Definition, _Mapping]] = ..., created: bool = ...) -> None: ...

class GetDefinitionRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetDefinitionResponse(_message.Message):
    __slots__ = ("definition",)
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    definition: _workflow_pb2.Definition
    def __init__(self, definition: _Optional[_Union[_workflow_pb2.Definition, _Mapping]] = ...) -> None: ...

class ListDefinitionsRequest(_message.Message):
    __slots__ = ("name", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDefinitionsResponse(_message.Message):
    __slots__ = ("definitions", "next_page_token")
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.Definition]
    next_page_token: str
    def __init__(self, definitions: _Optional[_Iterable[_Union[_workflow_pb2.Definition, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
