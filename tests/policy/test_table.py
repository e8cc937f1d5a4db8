# SPDX-License-Identifier: Apache-2.0
"""Every RPC of every service, and every route of HTTP, has a row that says who may use it. A new one without a row fails here."""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health_pb2
from starlette.routing import Route

from nervenet.config import Config
from nervenet.http.app import HttpApp
from nervenet.metrics import door
from nervenet.rpc.methods import CALLS_IN_A_STREAM, METHODS, SERVED
from nervenet.rpc.server import GrpcServer, Service
from nervenet.security import Caller
from nervenet.security.policy import Decision, Policy
from nervenet.security.policy_file import read_policy
from nervenet.security.roles import ACCESS, JUDGED_AS, Role
from nervenet.security.targets import _READ

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
CONTRACT = {rpc.path for methods in SERVED.values() for rpc in methods}
THE_ROWS_OF_RPCS = "/{service}/{method}"
REFUSES = "/{any:path}"
SCALER = {path for path in ACCESS if path.startswith("/externalscaler.")}
OF_NEWER_GRPC = {"/grpc.health.v1.Health/List"} - {f"/{HEALTH.full_name}/{method.name}" for method in HEALTH.methods}
"""Served only where grpcio-health-checking knows it: the rows are for every grpcio of the range."""


async def served() -> set[str]:
    """The paths that a server answers at."""
    config = Config.load(environ={}, listen="127.0.0.1:0")
    services = [Service(name, object()) for name in SERVED]
    server = await GrpcServer.start(config, "node", services, asyncio.Event())
    try:
        return set(server.guard.methods)
    finally:
        await server.stop(0)


async def test_every_rpc_that_a_server_answers_has_a_row() -> None:
    paths = await served()
    assert paths > CONTRACT, "health, reflection and channelz are served too"
    assert paths - set(ACCESS) == set(), "give it a row in nervenet/security/roles.py"


async def test_no_row_is_about_something_that_is_gone() -> None:
    rows = {path for path in ACCESS if path.startswith("/")}
    assert rows - await served() - SCALER == OF_NEWER_GRPC


async def test_every_route_of_the_http_door_has_a_row() -> None:
    config = Config.load(environ={}, listen="127.0.0.1:0")
    server = await GrpcServer.start(config, "node", [Service(name, object()) for name in SERVED], asyncio.Event())
    app = HttpApp(config, server.guard, "localhost")
    try:
        routes = {
            f"{method} {route.path}"
            for route in app._app._app.routes  # type: ignore[attr-defined]  # Starlette, within Access
            if isinstance(route, Route) and route.path not in (THE_ROWS_OF_RPCS, REFUSES)
            for method in set(route.methods or ()) - {"HEAD"}
        }
    finally:
        app.close()
        await server.stop(0)
    rows = {path for path in ACCESS if " " in path}
    assert rows == routes | {f"GET {door.PATH}"}


def test_what_only_reads_is_for_viewers_and_everything_else_is_on_record() -> None:
    for rpc in METHODS.values():
        row = ACCESS[rpc.path]
        if rpc.reads or rpc.name in ("WatchWorkflow", "WatchAgents", "AwaitWorkflows"):
            assert (row.least, row.changes) == (Role.VIEWER, False), rpc.name
        else:
            assert row.changes or rpc.name == "Heartbeat", rpc.name  # it says each second that an agent lives


def test_every_request_that_names_something_is_read() -> None:
    """A row that says what its requests are about has a function that takes it from them."""
    for rpc in METHODS.values():
        row = ACCESS[rpc.path]
        if row.about or row.changes:
            assert rpc.name in _READ, f"{rpc.name}: give it a row in nervenet/security/targets.py"


def test_streams_of_calls_have_the_row_of_those_calls() -> None:
    assert {METHODS[name].path: call.path for name, call in CALLS_IN_A_STREAM.items()} == JUDGED_AS
    assert all(ACCESS[stream] == ACCESS[call] for stream, call in JUDGED_AS.items())


def test_what_has_no_row_is_denied_even_to_nodes() -> None:
    policy = Policy(read_policy('version: 1\nroles: [{role: node, namespaces: ["*"], when: "true"}]', "policy"))
    decision = policy.decide(Caller("anybody", "mtls"), "/nervenet.v1.CoordinatorService/New", "default")
    assert isinstance(decision, Decision)
    assert not decision.allowed


def test_open_rows_say_why() -> None:
    for path, row in ACCESS.items():
        assert bool(row.why) is row.is_open, path
