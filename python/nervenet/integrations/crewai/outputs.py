# SPDX-License-Identifier: Apache-2.0
"""CrewAI's outputs as JSON and back: what the journal keeps, and what your workflow gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crewai.crews.crew_output import CrewOutput
from crewai.tasks.task_output import TaskOutput
from crewai.types.usage_metrics import UsageMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crewai import Task
    from pydantic import BaseModel

__all__ = ["crew_output", "decode_output", "encode_output", "readable"]

_KEPT = {"name", "description", "expected_output", "raw", "json_dict", "agent", "output_format", "tool_failures"}


def encode_output(output: TaskOutput) -> dict[str, Any]:
    """A task's output as JSON. The messages that the model saw are left out: they can be large."""
    encoded = output.model_dump(mode="json", include=_KEPT)
    if output.pydantic is not None:  # CrewAI declares it as BaseModel, whose dump has no fields
        encoded["pydantic"] = output.pydantic.model_dump(mode="json")
    return encoded


def decode_output(encoded: dict[str, Any], task: Task) -> TaskOutput:
    """The output of this task. Its structured output is a value of the class that the task names."""
    model: type[BaseModel] | None = task.output_pydantic
    value = encoded.get("pydantic")
    decoded = TaskOutput.model_validate({**encoded, "pydantic": None})
    if value is not None and model is not None:
        decoded.pydantic = model.model_validate(value)
    return decoded


def crew_output(outputs: Sequence[TaskOutput], usage: UsageMetrics) -> CrewOutput:
    """What `Crew.kickoff` returns for these outputs: the last one that is not empty is the crew's."""
    last = next((one for one in reversed(outputs) if one.raw), None)
    if last is None:
        raise ValueError("no task of the crew has an output")
    return CrewOutput(
        raw=last.raw,
        pydantic=last.pydantic,
        json_dict=last.json_dict,
        tasks_output=list(outputs),
        token_usage=usage,
    )


def readable(output: CrewOutput) -> dict[str, Any]:
    """The output of a crew as JSON."""
    structured = output.pydantic.model_dump(mode="json") if output.pydantic is not None else None
    return {
        "raw": output.raw,
        "pydantic": structured,
        "json_dict": output.json_dict,
        "tasks_output": [encode_output(one) for one in output.tasks_output],
        "token_usage": output.token_usage.model_dump(mode="json"),
    }
