# SPDX-License-Identifier: Apache-2.0
"""NervenetFlowPersistence: what comes back, for how long, on which servers, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from nervenet.integrations.crewai import FlowStateUnavailable, NervenetFlowPersistence  # isort: skip
from crewai.flow.async_feedback.types import PendingFeedbackContext  # isort: skip
from crewai.flow.flow import Flow, listen, start  # isort: skip
from crewai.flow.persistence import persist  # isort: skip
from pydantic import ValidationError

from nervenet.redis_link.faults import BadAddress
from tests.support.permissions import make_user
from tests.support.redis_cluster import Clustered
from tests.support.redis_servers import Replicated

Factory = Callable[..., NervenetFlowPersistence]


@pytest.fixture
def make(redis_url: str) -> Iterator[Factory]:
    """Makes persistences of one namespace, which no other test uses, and closes them. They have the least permissions."""
    made: list[NervenetFlowPersistence] = []
    own = f"t{uuid.uuid4().hex[:12]}"

    def one(*, namespace: str = own, redis: str = "", **options: Any) -> NervenetFlowPersistence:
        user = redis or make_user(redis_url, "flows", namespace)
        made.append(NervenetFlowPersistence(redis=user, namespace=namespace, **options))
        return made[-1]

    yield one
    for persistence in made:
        persistence.close()


def test_the_newest_state_comes_back_from_another_object(make: Factory) -> None:
    first, second = make(), make()
    assert second.load_state("a") is None
    first.save_state("a", "one", {"id": "a", "n": 1, "words": ["é", None]})
    first.save_state("a", "two", {"id": "a", "n": 2**60})
    assert second.load_state("a") == {"id": "a", "n": 2**60}
    second.delete("a")
    assert first.load_state("a") is None


def test_namespaces_are_apart(make: Factory) -> None:
    make().save_state("a", "one", {"id": "a"})
    assert make(namespace="elsewhere").load_state("a") is None


def test_a_question_to_a_human_is_kept_until_it_is_answered(make: Factory) -> None:
    context = PendingFeedbackContext("a", "app.Flow", "draft", {"text": "x"}, "Good?", emit=["yes", "no"])
    make().save_pending_feedback("a", context, {"id": "a", "n": 3})
    found = make().load_pending_feedback("a")
    assert found is not None
    state, back = found
    assert state == {"id": "a", "n": 3} and back.message == "Good?" and back.emit == ["yes", "no"]
    make().clear_pending_feedback("a")
    assert make().load_pending_feedback("a") is None
    assert make().load_state("a") == {"id": "a", "n": 3}


def test_the_state_expires(make: Factory, redis_url: str) -> None:
    persistence = make(ttl=timedelta(seconds=100))
    persistence.save_state("a", "one", {"id": "a"})
    with redis.Redis.from_url(redis_url) as client:
        left = client.pttl(persistence._key("a"))
    assert 90_000 < left <= 100_000


def test_from_inside_an_event_loop(make: Factory) -> None:
    persistence = make()

    @persist(persistence)
    class Count(Flow[dict[str, Any]]):
        @start()
        async def one(self) -> None:
            self.state["n"] = self.state.get("n", 0) + 1

        @listen(one)
        async def two(self) -> int:
            return int(self.state["n"])

    async def run() -> Any:
        return await Count(suppress_flow_events=True).kickoff_async(inputs={"id": "count"})

    assert [asyncio.run(run()) for _ in range(3)] == [1, 2, 3]  # three loops, one connection


async def on(url: str) -> None:
    def work() -> None:
        first, second = (NervenetFlowPersistence(redis=url, namespace="t") for _ in range(2))
        for n in range(24):
            first.save_state(f"f{n}", "one", {"id": f"f{n}", "n": n})
        assert [second.load_state(f"f{n}") for n in range(24)] == [{"id": f"f{n}", "n": n} for n in range(24)]
        for persistence in (first, second):
            persistence.delete("f0")
            persistence.close()

    await asyncio.to_thread(work)


async def test_cluster() -> None:
    async with Clustered() as servers:
        await on(servers.url)


async def test_sentinel_with_a_failover() -> None:
    async with Replicated() as servers:
        await on(servers.url)
        persistence = NervenetFlowPersistence(redis=servers.url)
        await asyncio.to_thread(persistence.save_state, "a", "one", {"id": "a", "n": 1})
        await asyncio.sleep(0.5)  # the replica has it
        await servers.failover()
        assert await asyncio.to_thread(persistence.load_state, "a") == {"id": "a", "n": 1}
        persistence.close()


def test_what_cannot_be_stored_is_refused_in_a_sentence(make: Factory) -> None:
    with pytest.raises(ValueError, match=r"the state of the flow cannot be stored as JSON .*leave it out of the state"):
        make().save_state("a", "one", {"id": "a", "socket": object()})
    with pytest.raises(ValueError, match="has a brace: choose another one"):
        make().save_state("{a}", "one", {"id": "a"})


def test_bad_options(make: Factory) -> None:
    with pytest.raises(BadAddress, match="redis"):
        make(redis="http://localhost")
    with pytest.raises(ValidationError, match="at least one second"):
        make(ttl=timedelta(0))
    with pytest.raises(ValidationError, match="namespace"):
        make(namespace="a{b}")


def test_no_server(make: Factory) -> None:
    persistence = make(redis="redis://127.0.0.1:1/0", wait=0.2, patience=0.2)
    with pytest.raises(FlowStateUnavailable, match=r"Is the server up, and is this its address\?"):
        persistence.load_state("a")
    persistence.close()
    with pytest.raises(FlowStateUnavailable, match="is closed"):
        persistence.load_state("a")
