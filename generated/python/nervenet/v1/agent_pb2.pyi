from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATE_UNSPECIFIED: _ClassVar[AgentState]
    AGENT_STATE_STARTING: _ClassVar[AgentState]
    AGENT_STATE_ACTIVE: _ClassVar[AgentState]
    AGENT_STATE_DRAINING: _ClassVar[AgentState]
    AGENT_STATE_DRAINED: _ClassVar[AgentState]

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_ACTIVE: _ClassVar[NodeState]
    NODE_STATE_DRAINING: _ClassVar[NodeState]

class Transport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSPORT_UNSPECIFIED: _ClassVar[Transport]
    TRANSPORT_REDIS: _ClassVar[Transport]
    TRANSPORT_GATEWAY: _ClassVar[Transport]
AGENT_STATE_UNSPECIFIED: AgentState
AGENT_STATE_STARTING: AgentState
AGENT_STATE_ACTIVE: AgentState
AGENT_STATE_DRAINING: AgentState
AGENT_STATE_DRAINED: AgentState
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_ACTIVE: NodeState
NODE_STATE_DRAINING: NodeState
TRANSPORT_UNSPECIFIED: Transport
TRANSPORT_REDIS: Transport
TRANSPORT_GATEWAY: Transport

class Capability(_message.Message):
    __slots__ = ("name", "version", "description", "input_schema", "output_schema", "labels", "slots", "schemas_marked")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_MARKED_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    description: str
    input_schema: str
    output_schema: str
    labels: _containers.ScalarMap[str, str]
    slots: int
    schemas_marked: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., input_schema: _Optional[str] = ..., output_schema: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., slots: _Optional[int] = ..., schemas_marked: bool = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("active", "queued", "slots", "cpu", "average_task_time", "error_rate", "sample_time", "active_by_capability")
    class ActiveByCapabilityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_TASK_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_BY_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    active: int
    queued: int
    slots: int
    cpu: float
    average_task_time: _duration_pb2.Duration
    error_rate: float
    sample_time: _timestamp_pb2.Timestamp
    active_by_capability: _containers.ScalarMap[str, int]
    def __init__(self, active: _Optional[int] = ..., queued: _Optional[int] = ..., slots: _Optional[int] = ..., cpu: _Optional[float] = ..., average_task_time: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., error_rate: _Optional[float] = ..., sample_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., active_by_capability: _Optional[_Mapping[str, int]] = ...) -> None: ...

class AgentRecord(_message.Message):
    __slots__ = ("agent_id", "name", "capabilities", "state", "transport", "control_endpoint", "labels", "runtime", "register_time", "inbox", "slots", "subject")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    REGISTER_TIME_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    capabilities: _containers.RepeatedCompositeFieldContainer[Capability]
    state: AgentState
    transport: Transport
    control_endpoint: str
    labels: _containers.ScalarMap[str, str]
    runtime: str
    register_time: _timestamp_pb2.Timestamp
    inbox: str
    slots: int
    subject: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., capabilities: _Optional[_Iterable[_Union[Capability, _Mapping]]] = ..., state: _Optional[_Union[AgentState, str]] = ..., transport: _Optional[_Union[Transport, str]] = ..., control_endpoint: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., runtime: _Optional[str] = ..., register_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., inbox: _Optional[str] = ..., slots: _Optional[int] = ..., subject: _Optional[str] = ...) -> None: ...

class DefinitionRef(_message.Message):
    __slots__ = ("name", "version", "runtime", "fingerprint", "input_schema", "output_schema", "description", "signals", "signals_complete", "schemas_marked")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_MARKED_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    runtime: str
    fingerprint: str
    input_schema: str
    output_schema: str
    description: str
    signals: _containers.RepeatedCompositeFieldContainer[SignalRef]
    signals_complete: bool
    schemas_marked: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., runtime: _Optional[str] = ..., fingerprint: _Optional[str] = ..., input_schema: _Optional[str] = ..., output_schema: _Optional[str] = ..., description: _Optional[str] = ..., signals: _Optional[_Iterable[_Union[SignalRef, _Mapping]]] = ..., signals_complete: bool = ..., schemas_marked: bool = ...) -> None: ...

class SignalRef(_message.Message):
    __slots__ = ("name", "schema")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema: str
    def __init__(self, name: _Optional[str] = ..., schema: _Optional[str] = ...) -> None: ...

class NodeRecord(_message.Message):
    __slots__ = ("node_id", "address", "definitions", "state", "register_time", "max_workflows", "owned_workflows", "runtime", "pid", "full")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    OWNED_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    definitions: _containers.RepeatedCompositeFieldContainer[DefinitionRef]
    state: NodeState
    register_time: _timestamp_pb2.Timestamp
    max_workflows: int
    owned_workflows: int
    runtime: str
    pid: int
    full: bool
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ..., definitions: _Optional[_Iterable[_Union[DefinitionRef, _Mapping]]] = ..., state: _Optional[_Union[NodeState, str]] = ..., register_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., max_workflows: _Optional[int] = ..., owned_workflows: _Optional[int] = ..., runtime: _Optional[str] = ..., pid: _Optional[int] = ..., full: bool = ...) -> None: ...
