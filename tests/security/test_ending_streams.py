# SPDX-License-Identifier: Apache-2.0
"""A stream ends soon after its caller's credentials have: expired, revoked, or signed with a key that is withdrawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from nervenet.client.nodes import Nodes, Retry
from nervenet.config import Config
from nervenet.errors import Unavailable
from nervenet.rpc.channels import Channel
from nervenet.timing import CREDENTIALS_LOOK_EVERY, FILE_LOOK_AGAIN, FILE_LOOK_EVERY, JWT_LEEWAY, STREAM_END_WITHIN
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.security.serving import Scripted, Serving, header
from tests.security.test_named_tokens import TokensFile
from tests.support.issuer import AUDIENCE, Issuer, issuing

pytestmark = pytest.mark.long

EXPIRED = "UNAUTHENTICATED CREDENTIALS_EXPIRED"
SLACK = 3.0
"""Seconds that a busy machine may add."""
LIVE = {"every": 1, "reads": {"one": {"method": "nervenet.v1.CoordinatorService/GetWorkflow", "request": {}}}}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


async def test_a_stream_ends_when_its_jwt_does(issuer: Issuer) -> None:
    async with Serving(jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as serving:
        await serving.until(issuer.token(), "OK")
        lives = 4.0  # seconds from now, with the leeway that clocks may differ
        token = issuer.token(lasts=lives - JWT_LEEWAY)
        began = time.monotonic()
        heard = [asyncio.Event() for _ in range(3)]
        ends = await asyncio.gather(
            serving.watch_grpc(token, heard[0]),
            serving.watch_http(token, heard[1]),
            serving.watch_http(token, heard[2], "/live", **LIVE),
        )
        took = time.monotonic() - began
        assert all(event.is_set() for event in heard)
        assert ends[0] == EXPIRED
        assert ends[1][-2:] == ["error", EXPIRED]
        assert ends[2] == ["one"], "the page opens it again, and is refused"
        assert lives - 0.5 < took < lives + CREDENTIALS_LOOK_EVERY + SLACK
        assert await serving.over_both(token) == EXPIRED
        assert len(serving.server.guard.streams) == 0


async def test_a_stream_ends_when_its_token_is_revoked_and_others_go_on(tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path)
    revoked, kept = tokens.add("revoked"), tokens.add("kept")
    async with Serving(tokens_file=tokens.path) as serving:
        heard = [asyncio.Event() for _ in range(3)]
        ending = [
            asyncio.create_task(serving.watch_grpc(revoked, heard[0])),
            asyncio.create_task(serving.watch_http(revoked, heard[1])),
        ]
        staying = asyncio.create_task(serving.watch_grpc(kept, heard[2]))
        for event in heard:
            await asyncio.wait_for(event.wait(), 20)
        tokens.remove("revoked")
        began = time.monotonic()
        over_grpc, over_http = await asyncio.wait_for(asyncio.gather(*ending), 20)
        assert time.monotonic() - began < FILE_LOOK_EVERY + FILE_LOOK_AGAIN + CREDENTIALS_LOOK_EVERY + SLACK
        assert (over_grpc, over_http[-2:]) == (EXPIRED, ["error", EXPIRED])
        assert await serving.over_both(kept) == "OK"
        assert not staying.done()
        staying.cancel()


async def test_a_stream_ends_when_the_key_of_its_jwt_is_withdrawn(issuer: Issuer) -> None:
    async with Serving(jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as serving:
        token = issuer.token()
        await serving.until(token, "OK")
        heard = asyncio.Event()
        watching = asyncio.create_task(serving.watch_grpc(token, heard))
        await asyncio.wait_for(heard.wait(), 20)
        del issuer.keys["first"]
        issuer.add("second")
        await serving.until(issuer.token(), "OK")  # a token of the new key makes the server read the keys again
        assert await asyncio.wait_for(watching, 20) == EXPIRED


POLICY = """
version: 1
roles:
  - {role: viewer, namespaces: ["*"], means: [token], subjects: [kept, robbed]}
"""
NO_ROLE = "PERMISSION_DENIED NO_ROLE"


async def test_streams_that_say_nothing_end_when_the_policy_takes_the_right_away(tmp_path: Path) -> None:
    """Nobody has to send anything: each open stream is judged again. Those that are still allowed go on."""
    tokens, policy = TokensFile(tmp_path), tmp_path / "policy.yaml"
    robbed, kept = tokens.add("robbed"), tokens.add("kept")
    policy.write_text(POLICY)
    async with Serving(tokens_file=tokens.path, policy=str(policy)) as serving:
        heard = [asyncio.Event() for _ in range(5)]
        ending = [
            asyncio.create_task(serving.watch_grpc(robbed, heard[0])),
            asyncio.create_task(serving.watch_http(robbed, heard[1])),
            asyncio.create_task(serving.watch_http(robbed, heard[2], "/live", **LIVE | {"every": 60})),
        ]
        staying = [
            asyncio.create_task(serving.watch_grpc(kept, heard[3])),
            asyncio.create_task(serving.watch_http(kept, heard[4])),
        ]
        for event in heard:
            await asyncio.wait_for(event.wait(), 20)
        policy.write_text(POLICY.replace(", robbed", ""))
        began = time.monotonic()
        over_grpc, over_http, live = await asyncio.wait_for(asyncio.gather(*ending), 20)
        assert time.monotonic() - began < FILE_LOOK_EVERY + FILE_LOOK_AGAIN + CREDENTIALS_LOOK_EVERY + SLACK
        assert (over_grpc, over_http[-2:]) == (NO_ROLE, ["error", NO_ROLE])
        assert live == ["one"], "the page opens it again, and is refused"
        assert await serving.over_both(robbed) == NO_ROLE
        assert not any(stream.done() for stream in staying)
        assert await serving.over_both(kept) == "OK"
        for stream in staying:
            stream.cancel()


async def test_a_stream_that_is_opened_while_the_policy_changes_is_judged_by_the_new_one(tmp_path: Path) -> None:
    """Its right is asked for once the standing is made, so nothing falls between the two."""
    tokens, policy = TokensFile(tmp_path), tmp_path / "policy.yaml"
    robbed = tokens.add("robbed")
    policy.write_text(POLICY)
    async with Serving(tokens_file=tokens.path, policy=str(policy)) as serving:
        policy.write_text(POLICY.replace(", robbed", ""))
        async with asyncio.timeout(30):
            while await serving.watch_grpc(robbed, asyncio.Event()) != NO_ROLE:
                pass
            assert await serving.over_both(robbed) == NO_ROLE


class Flood(Scripted):
    """Sends answers as fast as they are taken."""

    async def WatchWorkflow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        answer = pb.WatchWorkflowResponse()
        answer.entry.name = "x" * 50_000
        while True:
            yield answer


async def _read_on(call: Any) -> None:
    with suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass


async def _gone(serving: Serving) -> None:
    while len(serving.server.guard.streams):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("reads", [True, False])
async def test_a_stream_that_always_sends_ends_too_and_one_that_nobody_reads(tmp_path: Path, reads: bool) -> None:
    tokens = TokensFile(tmp_path)
    token = tokens.add("brief")
    serving = Serving(tokens_file=tokens.path)
    serving.servicer = Flood()
    async with serving:
        channel = Channel(serving.server.address, Config.load(environ={}))
        call = channel["WatchWorkflow"](pb.WatchWorkflowRequest(workflow_id="w"), metadata=header(token))
        await call.read()
        assert len(serving.server.guard.streams) == 1
        tokens.remove("brief")
        ends = _read_on(call) if reads else _gone(serving)
        await asyncio.wait_for(ends, FILE_LOOK_EVERY + CREDENTIALS_LOOK_EVERY * 3 + STREAM_END_WITHIN + 10)
        if reads:
            assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
        await channel.close()


async def test_a_client_whose_token_file_is_renewed_goes_on_where_its_stream_ended(
    issuer: Issuer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    async with Serving(jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as serving:
        await serving.until(issuer.token(), "OK")
        file.write_text(issuer.token(lasts=3.0 - JWT_LEEWAY))
        nodes = Nodes(Config.load(environ={}, address=serving.server.address, token_file=str(file)))
        retry, answers, ends = Retry(nodes), 0, []
        try:
            async with asyncio.timeout(30):
                while answers < 2:
                    try:
                        async for _ in nodes.stream("WatchWorkflow", pb.WatchWorkflowRequest(workflow_id="w")):
                            answers += 1
                            if answers == 1:
                                file.write_text(issuer.token())  # as a sidecar renews it, before it ends
                            else:
                                break
                    except Unavailable as error:
                        ends.append(error.reason)
                        await retry.pause(error)
        finally:
            await nodes.close()
        assert ends == ["CREDENTIALS_EXPIRED"]


async def test_a_client_whose_token_file_is_not_renewed_is_told(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with Serving(jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as serving:
        await serving.until(issuer.token(), "OK")
        file.write_text(issuer.token(lasts=-JWT_LEEWAY - 60))
        nodes = Nodes(Config.load(environ={}, address=serving.server.address, token_file=str(file)))
        try:
            with pytest.raises(PermissionError, match="has expired: get a new one"):
                await nodes.call("GetWorkflow", pb.GetWorkflowRequest(workflow_id="w"), timeout=20)
        finally:
            await nodes.close()
