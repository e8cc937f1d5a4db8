from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nervenet.v1 import agent_pb2 as _agent_pb2
from nervenet.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EjectionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EJECTION_REASON_UNSPECIFIED: _ClassVar[EjectionReason]
    EJECTION_REASON_ACCEPTS_NOTHING: _ClassVar[EjectionReason]
    EJECTION_REASON_FAILS_EVERYTHING: _ClassVar[EjectionReason]

class AgentEventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_EVENT_TYPE_UNSPECIFIED: _ClassVar[AgentEventType]
    AGENT_EVENT_TYPE_PUT: _ClassVar[AgentEventType]
    AGENT_EVENT_TYPE_LOAD: _ClassVar[AgentEventType]
    AGENT_EVENT_TYPE_REMOVED: _ClassVar[AgentEventType]
    AGENT_EVENT_TYPE_SYNCED: _ClassVar[AgentEventType]
EJECTION_REASON_UNSPECIFIED: EjectionReason
EJECTION_REASON_ACCEPTS_NOTHING: EjectionReason
EJECTION_REASON_FAILS_EVERYTHING: EjectionReason
AGENT_EVENT_TYPE_UNSPECIFIED: AgentEventType
AGENT_EVENT_TYPE_PUT: AgentEventType
AGENT_EVENT_TYPE_LOAD: AgentEventType
AGENT_EVENT_TYPE_REMOVED: AgentEventType
AGENT_EVENT_TYPE_SYNCED: AgentEventType

class RegisterAgentRequest(_message.Message):
    __slots__ = ("agent", "lease_id")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    agent: _agent_pb2.AgentRecord
    lease_id: int
    def __init__(self, agent: _Optional[_Union[_agent_pb2.AgentRecord, _Mapping]] = ..., lease_id: _Optional[int] = ...) -> None: ...

class RegisterAgentResponse(_message.Message):
    __slots__ = ("lease_id", "ttl", "heartbeat_interval", "node_id")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    ttl: _duration_pb2.Duration
    heartbeat_interval: _duration_pb2.Duration
    node_id: str
    def __init__(self, lease_id: _Optional[int] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., heartbeat_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., node_id: _Optional[str] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("agent_id", "lease_id", "load", "state")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    lease_id: int
    load: _agent_pb2.Load
    state: _agent_pb2.AgentState
    def __init__(self, agent_id: _Optional[str] = ..., lease_id: _Optional[int] = ..., load: _Optional[_Union[_agent_pb2.Load, _Mapping]] = ..., state: _Optional[_Union[_agent_pb2.AgentState, str]] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("desired_state", "lease_lost", "ttl")
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    LEASE_LOST_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    desired_state: _agent_pb2.AgentState
    lease_lost: bool
    ttl: _duration_pb2.Duration
    def __init__(self, desired_state: _Optional[_Union[_agent_pb2.AgentState, str]] = ..., lease_lost: bool = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeregisterAgentRequest(_message.Message):
    __slots__ = ("agent_id", "lease_id")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    lease_id: int
    def __init__(self, agent_id: _Optional[str] = ..., lease_id: _Optional[int] = ...) -> None: ...

class DeregisterAgentResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAgentRequest(_message.Message):
    __slots__ = ("agent_id",)
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    def __init__(self, agent_id: _Optional[str] = ...) -> None: ...

class GetAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: AgentEntry
    def __init__(self, agent: _Optional[_Union[AgentEntry, _Mapping]] = ...) -> None: ...

class Ejection(_message.Message):
    __slots__ = ("agent_id", "node_id", "reason", "message", "capability", "until_time")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    node_id: str
    reason: EjectionReason
    message: str
    capability: str
    until_time: _timestamp_pb2.Timestamp
    def __init__(self, agent_id: _Optional[str] = ..., node_id: _Optional[str] = ..., reason: _Optional[_Union[EjectionReason, str]] = ..., message: _Optional[str] = ..., capability: _Optional[str] = ..., until_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AgentEntry(_message.Message):
    __slots__ = ("agent", "load", "ejections")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    EJECTIONS_FIELD_NUMBER: _ClassVar[int]
    agent: _agent_pb2.AgentRecord
    load: _agent_pb2.Load
    ejections: _containers.RepeatedCompositeFieldContainer[Ejection]
    def __init__(self, agent: _Optional[_Union[_agent_pb2.AgentRecord, _Mapping]] = ..., load: _Optional[_Union[_agent_pb2.Load, _Mapping]] = ..., ejections: _Optional[_Iterable[_Union[Ejection, _Mapping]]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "capability", "labels", "states", "include_ejections")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EJECTIONS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    capability: str
    labels: _containers.ScalarMap[str, str]
    states: _containers.RepeatedScalarFieldContainer[_agent_pb2.AgentState]
    include_ejections: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., capability: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., states: _Optional[_Iterable[_Union[_agent_pb2.AgentState, str]]] = ..., include_ejections: bool = ...) -> None: ...

class QueueInfo(_message.Message):
    __slots__ = ("capability", "match_labels", "waiting", "oldest", "agents")
    class MatchLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    MATCH_LABELS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    capability: str
    match_labels: _containers.ScalarMap[str, str]
    waiting: int
    oldest: _duration_pb2.Duration
    agents: int
    def __init__(self, capability: _Optional[str] = ..., match_labels: _Optional[_Mapping[str, str]] = ..., waiting: _Optional[int] = ..., oldest: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., agents: _Optional[int] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents", "next_page_token", "queues", "queues_problem", "registry_problem")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    QUEUES_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentEntry]
    next_page_token: str
    queues: _containers.RepeatedCompositeFieldContainer[QueueInfo]
    queues_problem: str
    registry_problem: str
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., queues: _Optional[_Iterable[_Union[QueueInfo, _Mapping]]] = ..., queues_problem: _Optional[str] = ..., registry_problem: _Optional[str] = ...) -> None: ...

class ListEjectionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEjectionsResponse(_message.Message):
    __slots__ = ("ejections",)
    EJECTIONS_FIELD_NUMBER: _ClassVar[int]
    ejections: _containers.RepeatedCompositeFieldContainer[Ejection]
    def __init__(self, ejections: _Optional[_Iterable[_Union[Ejection, _Mapping]]] = ...) -> None: ...

class WatchAgentsRequest(_message.Message):
    __slots__ = ("after_revision", "capability")
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    after_revision: int
    capability: str
    def __init__(self, after_revision: _Optional[int] = ..., capability: _Optional[str] = ...) -> None: ...

class WatchAgentsResponse(_message.Message):
    __slots__ = ("type", "agent", "revision")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    type: AgentEventType
    agent: AgentEntry
    revision: int
    def __init__(self, type: _Optional[_Union[AgentEventType, str]] = ..., agent: _Optional[_Union[AgentEntry, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class SelectAgentRequest(_message.Message):
    __slots__ = ("capability", "selection", "version", "avoid_agents", "explain")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AVOID_AGENTS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    capability: str
    selection: _common_pb2.Selection
    version: str
    avoid_agents: _containers.RepeatedScalarFieldContainer[str]
    explain: bool
    def __init__(self, capability: _Optional[str] = ..., selection: _Optional[_Union[_common_pb2.Selection, _Mapping]] = ..., version: _Optional[str] = ..., avoid_agents: _Optional[_Iterable[str]] = ..., explain: bool = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("agent_id", "score", "rejected")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    score: float
    rejected: str
    def __init__(self, agent_id: _Optional[str] = ..., score: _Optional[float] = ..., rejected: _Optional[str] = ...) -> None: ...

class SelectAgentResponse(_message.Message):
    __slots__ = ("agent_id", "candidates")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    def __init__(self, agent_id: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "next_page_token", "registry_problem")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[_agent_pb2.NodeRecord]
    next_page_token: str
    registry_problem: str
    def __init__(self, nodes: _Optional[_Iterable[_Union[_agent_pb2.NodeRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., registry_problem: _Optional[str] = ...) -> None: ...

class DrainNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class DrainNodeResponse(_message.Message):
    __slots__ = ("state", "owned_workflows")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OWNED_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    state: _agent_pb2.NodeState
    owned_workflows: int
    def __init__(self, state: _Optional[_Union[_agent_pb2.NodeState, str]] = ..., owned_workflows: _Optional[int] = ...) -> None: ...
