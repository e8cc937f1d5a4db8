# SPDX-License-Identifier: Apache-2.0
"""The licence audit as a LangGraph StateGraph, on a mesh of two nodes and four agents.

    python -m examples.frameworks.licence_audit_langgraph                    # audits what is installed here
    python -m examples.frameworks.licence_audit_langgraph --kill node        # kill -9 half-way; --kill agent

The functions are those of examples/licence_audit; nodes of the graph take the place of its agents. The rows of its report
are those of `make demo` in the same environment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from examples.licence_audit import classify as classifying
from examples.licence_audit import extract as extracting
from examples.licence_audit import summarize as summarizing
from examples.licence_audit import validate as validating
from examples.licence_audit.collect import OPEN, outcomes
from examples.licence_audit.documents import canonical, installed
from examples.licence_audit.models import (
    Audit,
    Classification,
    Dispute,
    Distribution,
    Facts,
    Summary,
    SummaryInput,
    Validation,
)
from examples.licence_audit.processes import ROOT, AgentPlan
from examples.licence_audit.processes import Mesh as Processes
from nervenet import CallOptions, Client, Context, Escalate, Mesh, RetryPolicy
from nervenet.dev.servers import backing
from nervenet.integrations.langgraph import durable_graph

TRUST_FILES, TRUST_METADATA = "trust the files", "trust the metadata"


class State(TypedDict, total=False):
    distribution: Distribution
    classified: Classification
    facts: Facts
    checked: Validation
    licence: str
    decision: str
    summary: Summary


# ── the graph ────────────────────────────────────────────────────────────────────────────────────────────────────────


def classify(state: State) -> State:
    """Which licences the shipped texts really are; a human decides where that is not likely enough."""
    distribution = state["distribution"]
    found = classifying.classify(distribution)
    if found.confidence < classifying.LIKELY:
        raise Escalate(
            f"{distribution.name}: {found.found or 'no licence text'} with confidence {found.confidence:.2f}. Which is it?",
            suggestion={"classified": found},
            context=found,
        )
    return {"classified": found}


def extract(state: State) -> State:
    """Copyright holders and years, what is permitted, required and forbidden."""
    return {"facts": extracting.extract(state["distribution"])}


def validate(state: State) -> State:
    """What was found against what the metadata declares."""
    return {"checked": validating.validate(state["distribution"].declared, state["classified"].found)}


def settle(state: State) -> State:
    """The expression to judge. Where files and metadata disagree, a human decides."""
    checked, classified = state["checked"], state["classified"]
    if checked.agrees:
        return {"licence": checked.judged, "decision": ""}
    dispute = Dispute(validation=checked, classification=classified, holders=state["facts"].holders)
    question = f"{state['distribution'].name}: {checked.mismatch}. Which counts?"
    answer = interrupt({"question": question, **dispute.model_dump()})
    licence = {TRUST_FILES: classified.found, TRUST_METADATA: checked.declared}.get(answer, "")
    return {"licence": licence, "decision": f"decided: {answer}."}


def summarize(state: State) -> State:
    """One paragraph and a verdict."""
    given = SummaryInput(
        name=state["distribution"].name,
        version=state["distribution"].version,
        licence=state["licence"],
        classification=state["classified"],
        validation=state["checked"],
        facts=state["facts"],
        decision=state["decision"],
    )
    return {"summary": summarizing.summarize(given)}


builder = StateGraph(State)
for function in (classify, extract, validate, settle, summarize):
    builder.add_node(function.__name__, function)
builder.add_edge(START, "classify")
builder.add_edge("classify", "extract")
builder.add_edge("classify", "validate")
builder.add_edge(["extract", "validate"], "settle")
builder.add_edge("settle", "summarize")
builder.add_edge("summarize", END)

# ── on the mesh ──────────────────────────────────────────────────────────────────────────────────────────────────────

mesh = Mesh("licence_audit_langgraph")
graph = durable_graph(
    mesh,
    builder.compile(),
    name="audit",
    options={"classify": CallOptions(step="classify", retry=RetryPolicy(max_attempts=5))},
    slots={"classify": 2, "extract": 4, "validate": 4, "settle": 4, "summarize": 4},
)


@mesh.workflow
async def audit(ctx: Context, distribution: Distribution) -> Audit:
    found: State = await graph.ainvoke(ctx, {"distribution": distribution})
    classified, facts, checked, summary = found["classified"], found["facts"], found["checked"], found["summary"]
    return Audit(
        name=distribution.name,
        version=distribution.version,
        declared=checked.declared,
        found=classified.found,
        confidence=classified.confidence,
        verdict=summary.verdict,
        files=classified.files,
        text=summary.text,
        facts=facts,
        mismatch=checked.mismatch,
        decision=found["decision"],
    )


# ── the demo ─────────────────────────────────────────────────────────────────────────────────────────────────────────

APP = "examples.frameworks.licence_audit_langgraph:mesh"
AGENTS = (
    AgentPlan("classify-large", "audit-classify", 2),
    AgentPlan("classify-small", "audit-classify", 1),
    AgentPlan("reader", "audit-extract,audit-validate,audit-settle", 4),
    AgentPlan("summarize", "audit-summarize", 4),
)


async def run(folder: Path, only: frozenset[str], kill: str) -> list[dict[str, Any]]:
    """Audit every distribution that is installed here, and give the rows of the report."""
    given = {f"audit-{canonical(one.name)}": one for one in installed() if not only or canonical(one.name) in only}
    namespace = f"audit-{uuid.uuid4().hex[:6]}"
    async with (
        backing() as (redis, etcd),
        Processes(redis.url, etcd.url, namespace, folder, app=APP, agents=AGENTS) as processes,
        Client(processes.address, namespace=namespace) as client,
    ):
        handles = await client.start_many(audit, given)
        killed = None
        while True:
            states = Counter([info.state async for info in client.list(definition=audit.name)])
            running = sum(states[state] for state in OPEN) + len(given) - states.total()
            if not running:
                break
            if kill and killed is None and 3 * running <= 2 * len(given):
                killed = processes.victim(kill)
                killed.kill(signal.SIGKILL)
                print(f"kill -9 {killed.name} with {running} of {len(given)} audits running", file=sys.stderr)
            processes.check(spared=killed)
            await asyncio.sleep(0.1)
        found = await outcomes(client, {key: (one, handles[key]) for key, one in given.items()})
    return [outcome.row.model_dump() for outcome in found]


def main() -> None:
    """Print the rows as JSON."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--only", metavar="NAME,…", default="", help="audit only these distributions")
    parser.add_argument("--kill", choices=["node", "agent"], default="", help="kill one with -9 half-way")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "licence_audit_langgraph", help="for logs")
    args = parser.parse_args()
    only = frozenset(canonical(name) for name in args.only.split(",") if name)
    print(json.dumps(asyncio.run(run(args.folder, only, args.kill)), indent=1))


if __name__ == "__main__":
    main()
