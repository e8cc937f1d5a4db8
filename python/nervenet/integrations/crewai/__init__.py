# SPDX-License-Identifier: Apache-2.0
"""CrewAI on nervenet: flows that keep their state in Redis, and crews whose tasks run on the pool of agents.

    from nervenet.integrations.crewai import NervenetFlowPersistence, durable_crew

Import it before `crewai`: it sets the variables that keep CrewAI from sending telemetry, from replacing the handler of
SIGTERM and from writing to the user's data folder, unless you have set them (`environment`).

From the top; imports flow down only:

    crew.py           durable_crew: the agents and the workflow of a crew
    process.py        the workflow's side: order, context, questions to people
    handler.py        the agent's side: one task of the crew
    remote_model.py   model_calls=True: a model whose calls are tasks
    model_calls.py    the calls of models in one task of the crew
    plan.py           the names of a crew's parts, and what is refused
    model_agent.py    the agent that calls the models
    model_faults.py   what a client library raised, as our errors and back
    model_values.py   a call of a model, and its answer, as JSON
    outputs.py        CrewAI's outputs as JSON
    persistence.py    NervenetFlowPersistence: CrewAI's interface
    environment.py    the variables

`persistence` uses nervenet's own Redis client for the same reasons as the saver of LangGraph: its URLs, Sentinel,
Cluster, failover, and commands that are repeated when an answer is lost.
"""

from nervenet.integrations.crewai.environment import prepare_environment
from nervenet.integrations.refusals import Framework, NotSupported, UnsupportedVersion

CREWAI = Framework("CrewAI", "crewai", "crewai", "crewai", lowest=(1, 15), below=(2,))
CREWAI.require()
prepare_environment()

from nervenet.integrations.crewai.crew import DurableCrew, durable_crew  # noqa: E402  # CrewAI reads the variables
from nervenet.integrations.crewai.persistence import FlowStateUnavailable, NervenetFlowPersistence  # noqa: E402

__all__ = [
    "DurableCrew",
    "FlowStateUnavailable",
    "NervenetFlowPersistence",
    "NotSupported",
    "UnsupportedVersion",
    "durable_crew",
]
