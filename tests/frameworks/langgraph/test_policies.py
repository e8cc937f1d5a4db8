# SPDX-License-Identifier: Apache-2.0
"""Retry policies and timeouts of nodes, as options of their calls and in the agent."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from nervenet import AgentError, CallOptions, Mesh, Timeouts, WorkflowFailed
from nervenet.integrations.langgraph import durable_graph
from nervenet.integrations.langgraph.policies import may_retry, options_of
from nervenet.testing import AgentTest, WorkflowTest, run_agent
from tests.frameworks.langgraph.graphs import Log

HAS_TIMEOUTS = "timeout" in inspect.signature(StateGraph.add_node).parameters
with_timeouts = pytest.mark.skipif(not HAS_TIMEOUTS, reason="langgraph has timeouts of nodes since 1.1")


async def slow(state: Log) -> Log:
    await asyncio.sleep(30)
    return {"log": ["late"]}


def graph_of(options: CallOptions | None = None, **given: Any) -> Any:
    builder: Any = StateGraph(Log)
    builder.add_node("slow", slow, **given)
    builder.add_edge(START, "slow")
    return durable_graph(Mesh("m"), builder.compile(), name="g", options={"slow": options} if options else {})


def resolved(**given: Any) -> Any:
    return options_of(graph_of(**given).compiled.builder.nodes["slow"]).resolve()


def test_a_policy_becomes_options_of_the_call() -> None:
    policy = RetryPolicy(initial_interval=2, backoff_factor=3, max_interval=60, max_attempts=7, jitter=False)
    found = resolved(retry_policy=policy)
    assert (found.max_attempts, found.multiplier, found.jitter) == (7, 3, 0)
    assert (found.initial_ms, found.max_ms) == (2_000, 60_000)
    assert resolved().max_attempts == 1, "as in LangGraph: no policy, no second attempt"


def test_an_error_that_a_policy_knows_is_tried_again() -> None:
    policies = [
        RetryPolicy(max_attempts=2, retry_on=KeyError),
        RetryPolicy(max_attempts=4, retry_on=(ValueError, OSError)),
    ]
    assert may_retry(policies, KeyError("x")) and may_retry(policies, OSError("x"))
    assert not may_retry(policies, TypeError("x"))
    assert may_retry([RetryPolicy()], ConnectionError("x")) and not may_retry([RetryPolicy()], ValueError("x"))


async def test_a_lost_agent_is_no_failure_of_the_node() -> None:
    """The second attempt is the first one that fails: a policy of two attempts allows another one."""

    def breaks(state: Log) -> Log:
        raise ConnectionError("first failure")

    builder: Any = StateGraph(Log)
    builder.add_node("breaks", breaks, retry_policy=RetryPolicy(max_attempts=2))
    builder.add_edge(START, "breaks")
    agent = durable_graph(Mesh("m"), builder.compile(), name="g").agents["breaks"]
    run = await AgentTest(attempt=2).run(agent, {"input": {}})
    assert isinstance(run.error, ConnectionError)


def test_pauses_that_a_call_cannot_have_are_the_nearest_ones() -> None:
    found = resolved(retry_policy=RetryPolicy(initial_interval=0, backoff_factor=0.5))
    assert (found.initial_ms, found.multiplier) == (1, 1)
    found = resolved(retry_policy=RetryPolicy(initial_interval=10, max_interval=5))
    assert (found.initial_ms, found.max_ms) == (5_000, 5_000)


@with_timeouts
def test_the_run_timeout_of_a_node_limits_an_attempt() -> None:
    assert resolved(timeout=5).attempt_ms == 5_000
    assert resolved(timeout=timedelta(minutes=1)).attempt_ms == 60_000


@with_timeouts
async def test_the_idle_timeout_of_a_node_is_watched_in_the_agent() -> None:
    from langgraph.errors import NodeTimeoutError
    from langgraph.types import TimeoutPolicy

    agent = graph_of(timeout=TimeoutPolicy(idle_timeout=0.2)).agents["slow"]
    with pytest.raises(NodeTimeoutError, match="idle timeout"):
        await run_agent(agent, {"input": {}})


def test_options_of_the_user_are_stronger() -> None:
    graph = graph_of(
        CallOptions(timeouts=Timeouts(attempt=timedelta(seconds=1))), retry_policy=RetryPolicy(max_attempts=2)
    )
    test = WorkflowTest()
    test.stub(graph.agents["slow"], lambda _: {"value": {}}, takes=timedelta(seconds=3))
    run = test.run(graph.workflow(), {})
    with pytest.raises(WorkflowFailed, match="took longer than 1000 ms"):
        _ = run.result
    test.stub(graph.agents["slow"], [AgentError("busy"), {"value": {"log": ["second"]}}])
    assert test.run(graph.workflow(version=2), {}).result == {"log": ["second"]}
