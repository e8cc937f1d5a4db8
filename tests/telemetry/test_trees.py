# SPDX-License-Identifier: Apache-2.0
"""One workflow is one trace: real nodes, agents and clients, each a process, export to a real OTLP collector over gRPC."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from nervenet.dev.servers import Server
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import coordinator_service_pb2_grpc as rpc
from tests.support.waiting import wait_until
from tests.telemetry.collector import Collector, Seen, collector
from tests.telemetry.processes import TracedMesh

pytestmark = pytest.mark.xdist_group("telemetry")

START = "nervenet.v1.CoordinatorService/StartWorkflow"


@pytest.fixture(scope="module")
def spans() -> Iterator[Collector]:
    with collector() as served:
        yield served


@pytest.fixture(scope="module")
def mesh(
    spans: Collector, shared_valkey: Server, shared_etcd: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TracedMesh]:
    folder, namespace = tmp_path_factory.mktemp("mesh"), f"t-{uuid.uuid4().hex[:12]}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint, "OTEL_RESOURCE_ATTRIBUTES": "deployment=test"}
    with TracedMesh(folder, shared_valkey.url, shared_etcd.url, namespace, **environment) as processes:
        processes.start(nodes=1, agents=1)
        yield processes


def closed(workflow_id: str, sends: int):  # type: ignore[no-untyped-def]
    """Enough spans: the closer's, and a handler's for each send."""

    def enough(seen: list[Seen]) -> bool:
        ours = [s for s in seen if s.attributes.get("nervenet.workflow.id") == workflow_id]
        handled = sum(s.kind == "CONSUMER" for s in ours)
        return any(s.name.startswith("invoke_workflow") for s in ours) and handled >= sends

    return enough


def test_a_plain_workflow_and_a_retried_one_each_with_its_own_start_below_the_users_request(
    mesh: TracedMesh, spans: Collector
) -> None:
    mesh.call("plain=one", "retried=one", "--inside")  # one batch: both travel in one call
    spans.wait(closed("plain-one", 3), "the spans of plain-one")
    spans.wait(closed("retried-one", 2), "the spans of retried-one")
    spans.wait(lambda seen: {"the user's request", "judge it"} <= {s.name for s in seen}, "the users' spans")
    root = spans.tree("plain-one")
    assert root.name == "the user's request"

    call = root.below(START, nervenet__workflow__id="plain-one")
    assert (call.kind, call.service["service.name"]) == ("CLIENT", "nervenet-client")
    assert call.attributes["rpc.system.name"] == "grpc"
    assert call.attributes["rpc.response.status_code"] == "OK"
    served = call.below(START)
    assert (served.kind, served.service["service.name"]) == ("SERVER", "traced")
    assert (served.service["nervenet.role"], served.service["deployment"]) == ("node", "test")
    workflow = served.below("invoke_workflow plain")
    assert [child.name for child in workflow.children] == [
        "invoke_agent read",
        "invoke_agent parse",
        "invoke_agent judge",
    ]
    for capability, own in (("read", "read the file"), ("parse", "parse it"), ("judge", "judge it")):
        send = workflow.below(f"invoke_agent {capability}").below(f"send queue:{capability}")
        process = send.below(f"process queue:{capability}")
        assert (send.kind, process.kind, process.links) == ("PRODUCER", "CONSUMER", [send.span_id])
        assert process.service["nervenet.role"] == "agent"
        assert process.attributes["messaging.consumer.group.name"] == "agents"
        assert process.below(own).kind == "INTERNAL", "a coroutine's, a thread's and a pool process' alike"
    read = workflow.below("invoke_agent read").below("send queue:read").below("process queue:read")
    assert read.attributes["users.note"] == "on the handler's span"
    assert read.below("read the file").attributes["tenant"] == "acme", "baggage goes all the way"

    shaky = root.below(START, nervenet__workflow__id="retried-one").below(START).below("invoke_workflow retried")
    task = shaky.below("invoke_agent shaky")
    first = task.below("send queue:shaky", nervenet__task__attempt=1).below("process queue:shaky")
    second = task.below("send queue:shaky", nervenet__task__attempt=2)
    assert (first.error, first.attributes["error.type"]) == ("the model is asleep", "ConnectionError")
    assert second.links == [first.span_id]
    assert second.below("process queue:shaky").error is None
    assert (task.error, shaky.error) == (None, None), "a retried error is not the operation's"
    assert second.start_ns - first.end_ns > 20_000_000, "sent again after the backoff"
    everything = [span for span in spans.spans if span.trace_id == root.trace_id]
    assert all(span.events == 0 for span in everything)
    assert all(span.start_ns <= span.end_ns for span in everything)


def test_a_start_without_a_trace_begins_one_at_the_node_and_reads_show_it(mesh: TracedMesh, spans: Collector) -> None:
    answer = _start(mesh, "plain-two")
    assert answer.workflow.state == 5, answer.workflow  # WORKFLOW_STATE_SUCCEEDED
    spans.wait(closed("plain-two", 3), "the spans of plain-two")
    spans.wait(lambda seen: any(s.kind == "SERVER" and _of(s, "plain-two") for s in seen), "the SERVER span")
    root = spans.tree("plain-two")
    assert (root.name, root.kind, root.parent_id) == (START, "SERVER", "")
    assert root.below("invoke_workflow plain").children
    assert answer.workflow.trace_id == root.trace_id
    shown = subprocess.run(
        [sys.executable, "-m", "nervenet", "show", "plain-two", "--json"],
        env=mesh.environment | {"OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(shown.stdout)["workflow"]["traceId"] == root.trace_id, shown.stdout


def test_what_the_caller_does_not_sample_nobody_exports(mesh: TracedMesh, spans: Collector) -> None:
    unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    answer = _start(mesh, "plain-three", ("traceparent", unsampled))
    assert answer.workflow.state == 5
    assert answer.workflow.trace_id == ""
    _start(mesh, "plain-four")  # exported after it, by the same processes
    spans.wait(closed("plain-four", 3), "the spans of plain-four")
    assert not [s for s in spans.spans if s.trace_id == unsampled[3:35] or _of(s, "plain-three")]


def test_a_malformed_context_starts_a_new_trace(mesh: TracedMesh, spans: Collector) -> None:
    _start(mesh, "plain-five", ("traceparent", "00-zz-01"))
    spans.wait(closed("plain-five", 3), "the spans of plain-five")
    spans.wait(lambda seen: any(s.kind == "SERVER" and _of(s, "plain-five") for s in seen), "the SERVER span")
    assert spans.tree("plain-five").parent_id == ""


def test_a_refused_start_is_the_callers_error_and_not_the_nodes(mesh: TracedMesh, spans: Collector) -> None:
    with pytest.raises(grpc.RpcError):
        _start(mesh, "nobody-six", definition="nobody")
    seen = spans.wait(lambda seen: any(_of(s, "nobody-six") for s in seen), "the SERVER span")
    (served,) = (s for s in seen if _of(s, "nobody-six"))
    assert served.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert served.error is None


def test_one_trace_stays_one_trace_when_its_node_is_killed_half_way(
    spans: Collector, redis_url: str, etcd_url: str, namespace: str, tmp_path: Path
) -> None:
    environment = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": spans.endpoint}
    with TracedMesh(tmp_path, redis_url, etcd_url, namespace, **environment) as mesh:
        first, _ = mesh.up(mesh.node(), mesh.node())
        mesh.up(mesh.agent())
        mesh.call("interrupted=half", "--leave")
        wait_until((tmp_path / "half.runs").exists, "the slow handler runs")
        spans.wait(lambda seen: any(s.kind == "SERVER" and _of(s, "interrupted-half") for s in seen), "SERVER span")
        first.kill()
        spans.wait(lambda seen: any(s.name == "recover_workflow" for s in seen), "the other node goes on with it")
        (tmp_path / "half.go").touch()
        spans.wait(closed("interrupted-half", 3), "the spans of interrupted-half")
        root = spans.tree("interrupted-half")
        assert (root.name, root.kind) == (START, "CLIENT")
        workflow = root.below(START).below("invoke_workflow interrupted")
        recover = workflow.below("recover_workflow")
        assert workflow.attributes["nervenet.recovered"] is True
        assert workflow.attributes["nervenet.node.id"] == recover.attributes["nervenet.node.id"]
        assert recover.attributes["nervenet.node.lost"] != recover.attributes["nervenet.node.id"]
        assert workflow.service == recover.service != root.below(START).service
        slow = workflow.below("invoke_agent slow")
        assert recover.links == [slow.span_id], "it went on with what was under way"
        assert slow.below("send queue:slow").below("process queue:slow").error is None
        assert slow.start_ns < recover.start_ns < slow.end_ns
        reads = [child for child in workflow.children if child.name == "invoke_agent read"]
        assert [one.attributes["nervenet.task.id"] for one in reads] == [
            "interrupted-half/read",
            "interrupted-half/read.2",
        ]
        assert [len(one.children) for one in reads] == [1, 1], "finished steps are not told twice"


def _start(
    mesh: TracedMesh, workflow_id: str, *metadata: tuple[str, str], definition: str = "plain"
) -> pb.StartWorkflowResponse:
    """As grpcurl would: no OpenTelemetry on this side."""

    async def call() -> pb.StartWorkflowResponse:
        async with grpc.aio.insecure_channel(mesh.nodes[0].address) as channel:
            request = pb.StartWorkflowRequest(
                workflow_id=workflow_id, definition=definition, input=common.Payload(json='"x"'), wait={"seconds": 20}
            )
            answer: pb.StartWorkflowResponse = await rpc.CoordinatorServiceStub(channel).StartWorkflow(
                request, metadata=metadata, timeout=30
            )
            return answer

    return asyncio.run(call())


def _of(span: Seen, workflow_id: str) -> bool:
    return span.attributes.get("nervenet.workflow.id") == workflow_id
