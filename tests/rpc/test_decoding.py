# SPDX-License-Identifier: Apache-2.0
"""Requests as bytes: which are read, which are refused before anything is built of them, and what their callers are told."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import DecodeError

from nervenet.dev.servers import Server
from nervenet.errors import RequestError
from nervenet.rpc.decoding import MORE, MOST_ENTRIES, MOST_FIELDS, decoder
from nervenet.rpc.methods import HEALTH_CHECK, METHODS
from nervenet.rpc.status import error_of
from nervenet.v1 import agent_service_pb2 as agents
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import registry_service_pb2 as registry
from tests.rpc.bodies import ALLOWED, LARGE, NOTHINGS, TOKEN, field, resident, send
from tests.support.mesh import ProcessMesh

GARBAGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"


def told(kind: Any, raw: bytes) -> tuple[str, str]:
    """Reason, and the field if there is one."""
    try:
        decoder(kind)(raw)
    except RequestError as error:
        return error.reason, error.fields[0][0] if error.fields else ""
    return "", ""


def starts(*sizes: int) -> Any:
    """A batch of starts with so many labels each."""
    labels = [{f"{n}-{at}": "" for at in range(size)} for n, size in enumerate(sizes)]
    return pb.StartWorkflowsRequest(requests=[pb.StartWorkflowRequest(labels=some) for some in labels])


def listing(states: int) -> Any:
    """With a state of two bytes, which this version does not know."""
    unknown: Any = 300
    return pb.ListWorkflowsRequest(states=[unknown] * states)


@pytest.mark.parametrize(
    ("message", "too_many"),
    [
        (starts(*[0] * MOST_ENTRIES), ""),
        (starts(*[0] * (MOST_ENTRIES + 1)), "requests"),
        (starts(MOST_ENTRIES), ""),
        (starts(3, MOST_ENTRIES + 1), "requests.labels"),
        (listing(MOST_ENTRIES), ""),
        (listing(MOST_ENTRIES + 1), "states"),
        (registry.SelectAgentRequest(avoid_agents=[""] * (MOST_ENTRIES + 1)), "avoid_agents"),
        (pb.AwaitWorkflowsRequest(workflow_ids=["w"] * 10_000), ""),
        (pb.AwaitWorkflowsRequest(workflow_ids=["w"] * 10_001), "workflow_ids"),
        (agents.ConnectRequest(items=[agents.ConnectRequestItem()] * 10_001), "items"),
        (pb.PutDefinitionRequest(definition={"steps": [{"depends_on": [""] * (MOST_ENTRIES + 1)}]}), "definition.steps.depends_on"),
    ],
)  # fmt: skip
def test_repeated_fields_are_bounded_and_the_refusal_names_the_field(message: Any, too_many: str) -> None:
    reason = "INVALID_FIELD" if too_many else ""
    assert told(type(message), message.SerializeToString()) == (reason, too_many)


def test_a_request_has_a_most_of_fields_whatever_they_are() -> None:
    assert told(pb.StartWorkflowRequest, b"\x18\x01" * MOST_FIELDS)[0] == ""  # one number, again and again
    assert told(pb.StartWorkflowRequest, b"\x18\x01" * (MOST_FIELDS + 1))[0] == "INVALID_FIELD"
    assert told(pb.StartWorkflowRequest, b"\xf8\x3f\x01" * (MOST_FIELDS + 1))[0] == "INVALID_FIELD"  # an unknown one
    for numbers, reason in ((40_000, ""), (60_000, "INVALID_FIELD")):  # a number is two fields
        values = field(4, field(2, field(6, field(1, b"\x11" + bytes(8)) * numbers)))
        assert told(pb.StartWorkflowRequest, values)[0] == reason
    for kind, body in ((pb.StartWorkflowRequest, field(4, field(2, field(6, NOTHINGS)))),
                       (pb.StartWorkflowsRequest, field(1, field(5, b"\x0a\x00") * 999) * 999)):  # fmt: skip
        assert told(kind, body)[0] == "INVALID_FIELD"


def test_messages_within_messages_end_somewhere() -> None:
    body = b""
    for _ in range(2_000):
        body = field(6, field(1, body))  # a list in a list in a list
    assert told(pb.StartWorkflowRequest, field(4, field(2, body)))[0] == "UNDECODABLE"


def test_each_limit_of_its_own_is_that_of_a_field_there_is() -> None:
    known = {f"{message.full_name}.{field.name}" for message in _messages() for field in message.fields}
    assert set(MORE) <= known


def _messages() -> Iterator[Any]:
    """All that is inside of requests."""
    met, todo = set(), [method.request.DESCRIPTOR for method in METHODS.values()]
    while todo:
        if (message := todo.pop()).full_name not in met:
            met.add(message.full_name)
            yield message
            todo += [field.message_type for field in message.fields if field.message_type is not None]


def test_what_protobuf_reads_is_read_and_what_it_does_not_is_undecodable() -> None:
    """Random bytes of all lengths, and requests that are cut off or changed in one place."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    whole = starts(*range(60)).SerializeToString()
    for _ in range(2_000):
        raw = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(3)):
            raw[chance.randrange(len(raw) or 1) :][:1] = chance.randbytes(1)
        if chance.random() < 0.2:
            raw = bytearray(chance.randbytes(chance.randrange(3_000)))
        try:
            message = pb.StartWorkflowsRequest.FromString(bytes(raw))
        except DecodeError:
            assert told(pb.StartWorkflowsRequest, bytes(raw))[0] == "UNDECODABLE", f"seed {seed}: {raw.hex()}"
        else:
            assert decoder(pb.StartWorkflowsRequest)(bytes(raw)) == message, f"seed {seed}: {raw.hex()}"


# ── at a node ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("border")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url) as host:
        host.up(host.node(NERVENET_TOKEN=TOKEN))
        yield host


async def answer(host: ProcessMesh, path: str, raw: bytes, metadata: Any = ALLOWED) -> tuple[str, str]:
    """Code and reason, for a call of any shape: on the wire a unary call is a stream of one message."""
    address = host.nodes[0].address
    async with grpc.aio.insecure_channel(address) as channel:
        ask: Any = channel.unary_stream(path)
        try:
            async for _ in ask(raw, metadata=metadata, timeout=10):
                pass
        except grpc.aio.AioRpcError as error:
            found = error_of(error, address)
            return found.code, found.reason
    return "OK", ""


async def test_bytes_that_are_no_message_are_refused_in_words_by_every_call_after_the_token(host: ProcessMesh) -> None:
    for method in METHODS.values():
        assert await answer(host, method.path, GARBAGE) == ("INVALID_ARGUMENT", "UNDECODABLE"), method.name
        assert await answer(host, method.path, GARBAGE, ()) == ("UNAUTHENTICATED", "BAD_TOKEN"), method.name
    for beside in (
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "grpc.channelz.v1.Channelz/GetServers",
    ):
        assert await answer(host, f"/{beside}", GARBAGE) == ("INVALID_ARGUMENT", "UNDECODABLE")
        assert await answer(host, f"/{beside}", b"", ()) == ("UNAUTHENTICATED", "BAD_TOKEN")
    assert await answer(host, HEALTH_CHECK.path, GARBAGE, ()) == ("INVALID_ARGUMENT", "UNDECODABLE")
    assert "Traceback" not in host.nodes[0].log


async def test_health_is_told_to_everybody_and_the_namespace_to_nobody_without_the_token(host: ProcessMesh) -> None:
    elsewhere = ("nervenet-namespace", "elsewhere")
    assert await answer(host, HEALTH_CHECK.path, b"", ()) == ("OK", "")
    assert await answer(host, HEALTH_CHECK.path, b"", (elsewhere,)) == ("OK", "")
    path = METHODS["ListNodes"].path
    assert await answer(host, path, b"", (elsewhere,)) == ("UNAUTHENTICATED", "BAD_TOKEN")
    assert await answer(host, path, b"", (*ALLOWED, elsewhere)) == ("PERMISSION_DENIED", "WRONG_NAMESPACE")
    async with grpc.aio.insecure_channel(host.nodes[0].address) as channel:
        ask: Any = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(b"", metadata=(elsewhere,))
    assert host.namespace not in str(refused.value)


async def test_requests_of_six_megabytes_of_nothing_leave_no_memory_behind(host: ProcessMesh) -> None:
    """The long form is `python -m tests.rpc.bodies`."""
    (node,) = host.nodes
    before = resident(node)
    assert await send(node.address, [*LARGE, *LARGE], ()) == {("UNAUTHENTICATED", "BAD_TOKEN")}
    assert await send(node.address, [*LARGE, *LARGE], ALLOWED) == {("INVALID_ARGUMENT", "INVALID_FIELD")}
    assert resident(node) - before < 50


def test_reflection_is_behind_the_token_and_grpcurl_has_a_flag_for_it(host: ProcessMesh) -> None:
    grpcurl = [str(Path(sys.executable).with_name("grpcurl")), "-plaintext"]
    ask = [host.nodes[0].address, "list"]
    without = subprocess.run([*grpcurl, *ask], capture_output=True, text=True, timeout=30, check=False)
    assert without.returncode != 0 and "nervenet.v1" not in without.stdout
    flag = ["-H", f"authorization: Bearer {TOKEN}"]
    listed = subprocess.run([*grpcurl, *flag, *ask], capture_output=True, text=True, timeout=30, check=True)
    assert "nervenet.v1.CoordinatorService" in listed.stdout.splitlines()
