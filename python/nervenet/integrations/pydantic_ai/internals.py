# SPDX-License-Identifier: Apache-2.0
"""Every name of Pydantic AI that is not documented and that this package rests on, in one place.

Besides these, `NervenetDurability` overrides two hooks of `BaseDurabilityCapability` that Temporal's backend overrides too:
`_bind_to_agent` and `_model_stream_event_handler`. It overrides `_resolve_model_for_request` too, and reads `_models_by_id`. `make frameworks` runs the lowest and the newest version that we support, so a
change of one of these names fails a test.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.durable_exec._utils import disable_threads as disable_threads
from pydantic_ai.toolsets.abstract import AGENT_TOOLSET_ID as AGENT_TOOLSET_ID

__all__ = ["AGENT_TOOLSET_ID", "disable_threads", "fixed_texts"]


def fixed_texts(agent: AbstractAgent[Any, Any]) -> dict[str, str]:
    """The instructions and system prompts of an agent that are plain texts, by name."""
    if not isinstance(agent, Agent):
        return {}
    instructions = [getattr(one, "instruction", one) for one in agent._instructions]  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    found = {f"instructions:{at}": one.strip() for at, one in enumerate(instructions) if isinstance(one, str)}
    prompts = {f"system_prompt:{at}": one for at, one in enumerate(agent._system_prompts)}  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    return {name: text for name, text in (found | prompts).items() if text}
