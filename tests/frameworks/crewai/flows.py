# SPDX-License-Identifier: Apache-2.0
"""Flows that keep their state in Redis. Each step asks a model once and is skipped when its result is there."""

from __future__ import annotations

import os
import sys

from nervenet.integrations.crewai import NervenetFlowPersistence  # isort: skip
from crewai import LLM  # isort: skip  # the integration comes first: it sets what CrewAI reads
from crewai.flow.flow import Flow, FlowState, listen, start  # isort: skip
from crewai.flow.persistence import persist  # isort: skip
from tests.support.story import record


class TripState(FlowState):
    city: str = ""
    outline: str = ""
    route: str = ""
    letter: str = ""


def ask(text: str) -> str:
    """One request to the model; the test reads in which process it runs."""
    record(text.replace(" ", "_"), f"pid {os.getpid()}")
    return str(LLM(model="openai/gpt-4o-mini").call(text))


@persist(NervenetFlowPersistence())
class Trip(Flow[TripState]):
    """Three requests, each for the one before."""

    @start()
    def make_outline(self) -> None:
        if not self.state.outline:
            self.state.outline = ask(f"outline {self.state.city}")

    @listen(make_outline)
    def make_route(self) -> None:
        if not self.state.route:
            self.state.route = ask(f"route {self.state.outline}")

    @listen(make_route)
    def make_letter(self) -> str:
        if not self.state.letter:
            self.state.letter = ask(f"letter {self.state.route}")
        return self.state.letter


def travel(flow: str, city: str) -> str:
    """Run the flow with this id, from where it stands."""
    return str(Trip(suppress_flow_events=True).kickoff(inputs={"id": flow, "city": city}))


if __name__ == "__main__":
    print("ended with", travel(*sys.argv[1:]), flush=True)
