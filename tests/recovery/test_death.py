# SPDX-License-Identifier: Apache-2.0
"""Who is surely dead is buried at once; who only lost a stream, or was never met, is not."""

from __future__ import annotations

import asyncio
import signal

import pytest

from nervenet.node.recovery.failure_detector import proves, successors
from nervenet.node.served import ProbeResult
from tests.mesh import stories
from tests.support.mesh import ProcessMesh, claimed, owner_of
from tests.support.waiting import until


def test_each_node_follows_the_next_ones_and_is_followed_by_as_many() -> None:
    ids = [f"n-{letter}" for letter in "abcdef"]
    followed = [after for me in ids for after in successors(me, ids, 2)]
    assert sorted(followed) == sorted(ids * 2)
    assert successors("n-b", {"n-a", "n-c"}, 2) == ["n-c", "n-a"]
    assert successors("n-a", {"n-a"}, 2) == []


@pytest.mark.parametrize(
    ("answer", "address", "shared", "proof"),
    [
        (ProbeResult.REFUSED, "127.0.0.1:7701", False, True),
        (ProbeResult.REFUSED, "agents:7701", True, True),
        (ProbeResult.ANOTHER, "10.0.0.5:7701", True, True),
        (ProbeResult.ANOTHER, "agents:7701", False, True),
        (ProbeResult.ANOTHER, "agents:7701", True, False),
        (ProbeResult.ITSELF, "10.0.0.5:7701", False, False),
        (ProbeResult.SILENT, "10.0.0.5:7701", False, False),
        (ProbeResult.UNCLEAR, "10.0.0.5:7701", False, False),
    ],
)
def test_only_a_refusal_or_a_stranger_is_proof(answer: ProbeResult, address: str, shared: bool, proof: bool) -> None:
    assert proves(answer, address, shared=shared) is proof


async def test_a_killed_node_and_then_a_killed_agent_are_buried_by_proof_and_the_workflow_ends(
    host: ProcessMesh,
) -> None:
    nodes = host.up(host.node(), host.node(), host.node())
    host.up(host.agent("--only", "note", "--name", "clerk"))
    (speaker,) = host.up(host.agent("--only", "say", "--name", "speaker"))
    async with host.client() as client:
        run = await client.start(stories.errand, "eve", id="errand")
        await host.effect("eve", "said #1")
        await claimed(run, host)
        owner = await owner_of(run, list(nodes))
        owner.kill(signal.SIGKILL)
        others = [node for node in nodes if node is not owner]
        proof = f"node {owner.id} is gone (removed-tombstoned)"
        await until(lambda: all(proof in node.log for node in others), proof, 20, host)

        speaker.kill(signal.SIGKILL)
        host.up(host.agent("--only", "say", "--name", "another"))
        await host.effect("eve", "said #2")
        host.open("eve")
        assert await asyncio.wait_for(run.result(), 30) == ["first!", "eve: once upon a time", "last!"]
