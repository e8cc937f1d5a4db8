from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PayloadFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYLOAD_FORMAT_UNSPECIFIED: _ClassVar[PayloadFormat]
    PAYLOAD_FORMAT_VALUE: _ClassVar[PayloadFormat]
    PAYLOAD_FORMAT_RAW: _ClassVar[PayloadFormat]
    PAYLOAD_FORMAT_OMIT: _ClassVar[PayloadFormat]

class OnExhausted(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_EXHAUSTED_UNSPECIFIED: _ClassVar[OnExhausted]
    ON_EXHAUSTED_FAIL: _ClassVar[OnExhausted]
    ON_EXHAUSTED_ESCALATE: _ClassVar[OnExhausted]

class SelectionPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SELECTION_POLICY_UNSPECIFIED: _ClassVar[SelectionPolicy]
    SELECTION_POLICY_LEAST_LOADED: _ClassVar[SelectionPolicy]
    SELECTION_POLICY_ROUND_ROBIN: _ClassVar[SelectionPolicy]
    SELECTION_POLICY_STICKY: _ClassVar[SelectionPolicy]
    SELECTION_POLICY_QUEUE: _ClassVar[SelectionPolicy]

class FailureCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CODE_UNSPECIFIED: _ClassVar[FailureCode]
    FAILURE_CODE_APPLICATION: _ClassVar[FailureCode]
    FAILURE_CODE_INVALID_INPUT: _ClassVar[FailureCode]
    FAILURE_CODE_TIMEOUT: _ClassVar[FailureCode]
    FAILURE_CODE_CANCELED: _ClassVar[FailureCode]
    FAILURE_CODE_AGENT_LOST: _ClassVar[FailureCode]
    FAILURE_CODE_NO_AGENT: _ClassVar[FailureCode]
    FAILURE_CODE_RATE_LIMITED: _ClassVar[FailureCode]
    FAILURE_CODE_DEPENDENCY: _ClassVar[FailureCode]
    FAILURE_CODE_AGENT_DRAINED: _ClassVar[FailureCode]
    FAILURE_CODE_POLICY_DENIED: _ClassVar[FailureCode]
    FAILURE_CODE_PAYLOAD_TOO_LARGE: _ClassVar[FailureCode]
    FAILURE_CODE_INTERNAL: _ClassVar[FailureCode]
PAYLOAD_FORMAT_UNSPECIFIED: PayloadFormat
PAYLOAD_FORMAT_VALUE: PayloadFormat
PAYLOAD_FORMAT_RAW: PayloadFormat
PAYLOAD_FORMAT_OMIT: PayloadFormat
ON_EXHAUSTED_UNSPECIFIED: OnExhausted
ON_EXHAUSTED_FAIL: OnExhausted
ON_EXHAUSTED_ESCALATE: OnExhausted
SELECTION_POLICY_UNSPECIFIED: SelectionPolicy
SELECTION_POLICY_LEAST_LOADED: SelectionPolicy
SELECTION_POLICY_ROUND_ROBIN: SelectionPolicy
SELECTION_POLICY_STICKY: SelectionPolicy
SELECTION_POLICY_QUEUE: SelectionPolicy
FAILURE_CODE_UNSPECIFIED: FailureCode
FAILURE_CODE_APPLICATION: FailureCode
FAILURE_CODE_INVALID_INPUT: FailureCode
FAILURE_CODE_TIMEOUT: FailureCode
FAILURE_CODE_CANCELED: FailureCode
FAILURE_CODE_AGENT_LOST: FailureCode
FAILURE_CODE_NO_AGENT: FailureCode
FAILURE_CODE_RATE_LIMITED: FailureCode
FAILURE_CODE_DEPENDENCY: FailureCode
FAILURE_CODE_AGENT_DRAINED: FailureCode
FAILURE_CODE_POLICY_DENIED: FailureCode
FAILURE_CODE_PAYLOAD_TOO_LARGE: FailureCode
FAILURE_CODE_INTERNAL: FailureCode

class Payload(_message.Message):
    __slots__ = ("json", "value", "text", "data", "uri", "content_type", "encoding", "size_bytes", "sha256")
    JSON_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    json: str
    value: _struct_pb2.Value
    text: str
    data: bytes
    uri: str
    content_type: str
    encoding: str
    size_bytes: int
    sha256: bytes
    def __init__(self, json: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., text: _Optional[str] = ..., data: _Optional[bytes] = ..., uri: _Optional[str] = ..., content_type: _Optional[str] = ..., encoding: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class TraceContext(_message.Message):
    __slots__ = ("traceparent", "tracestate", "baggage")
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    BAGGAGE_FIELD_NUMBER: _ClassVar[int]
    traceparent: str
    tracestate: str
    baggage: str
    def __init__(self, traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., baggage: _Optional[str] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("max_attempts", "initial_interval", "max_interval", "backoff_multiplier", "jitter", "non_retryable_types", "avoid_failed_agents", "on_exhausted", "on_agent_loss")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MAX_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    NON_RETRYABLE_TYPES_FIELD_NUMBER: _ClassVar[int]
    AVOID_FAILED_AGENTS_FIELD_NUMBER: _ClassVar[int]
    ON_EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    ON_AGENT_LOSS_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    initial_interval: _duration_pb2.Duration
    max_interval: _duration_pb2.Duration
    backoff_multiplier: float
    jitter: float
    non_retryable_types: _containers.RepeatedScalarFieldContainer[str]
    avoid_failed_agents: bool
    on_exhausted: OnExhausted
    on_agent_loss: OnExhausted
    def __init__(self, max_attempts: _Optional[int] = ..., initial_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., backoff_multiplier: _Optional[float] = ..., jitter: _Optional[float] = ..., non_retryable_types: _Optional[_Iterable[str]] = ..., avoid_failed_agents: bool = ..., on_exhausted: _Optional[_Union[OnExhausted, str]] = ..., on_agent_loss: _Optional[_Union[OnExhausted, str]] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("queue", "accept", "attempt", "total", "heartbeat")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    accept: _duration_pb2.Duration
    attempt: _duration_pb2.Duration
    total: _duration_pb2.Duration
    heartbeat: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., accept: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., attempt: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., heartbeat: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Selection(_message.Message):
    __slots__ = ("policy", "match_labels", "sticky_key")
    class MatchLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MATCH_LABELS_FIELD_NUMBER: _ClassVar[int]
    STICKY_KEY_FIELD_NUMBER: _ClassVar[int]
    policy: SelectionPolicy
    match_labels: _containers.ScalarMap[str, str]
    sticky_key: str
    def __init__(self, policy: _Optional[_Union[SelectionPolicy, str]] = ..., match_labels: _Optional[_Mapping[str, str]] = ..., sticky_key: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "type", "retryable", "retry_after", "source", "stack_trace", "details", "cause", "attempt", "agent_id")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STACK_TRACE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    code: FailureCode
    message: str
    type: str
    retryable: bool
    retry_after: _duration_pb2.Duration
    source: str
    stack_trace: str
    details: Payload
    cause: Failure
    attempt: int
    agent_id: str
    def __init__(self, code: _Optional[_Union[FailureCode, str]] = ..., message: _Optional[str] = ..., type: _Optional[str] = ..., retryable: bool = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., source: _Optional[str] = ..., stack_trace: _Optional[str] = ..., details: _Optional[_Union[Payload, _Mapping]] = ..., cause: _Optional[_Union[Failure, _Mapping]] = ..., attempt: _Optional[int] = ..., agent_id: _Optional[str] = ...) -> None: ...

class TokenUsage(_message.Message):
    __slots__ = ("model", "input_tokens", "output_tokens")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    model: str
    input_tokens: int
    output_tokens: int
    def __init__(self, model: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ...) -> None: ...
