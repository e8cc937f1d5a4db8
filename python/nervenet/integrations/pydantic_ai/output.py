# SPDX-License-Identifier: Apache-2.0
"""The result of `DurableAgent.workflow`: the output as JSON, the same with every hash seed and after an upgrade of its class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_ai.output import NativeOutput, PromptedOutput, ToolOutput

from nervenet.integrations.pydantic_ai.encoding import plain, shortest
from nervenet.integrations.refusals import NotSupported, caller


class Outputs:
    """The codec of an agent's output.

    Args:
        output_type: As the agent has it.
    """

    def __init__(self, output_type: Any) -> None:
        self._type = output_type
        self._adapter = _adapter_of(output_type)

    def encode(self, output: Any) -> Any:
        """As JSON, without defaults if `decode` brings them back."""
        whole = plain(output, "the output")
        return whole if self._adapter is None else shortest(output, whole, self._adapter.validate_python)

    def decode(self, result: Any) -> Any:
        """What `encode` was given.

        Raises:
            NotSupported: The output comes from a function, whose JSON has no known type.
        """
        if self._adapter is None:
            raise NotSupported(
                f"{caller()}: the output type {self._type!r} has a function, so nothing says what its JSON is: read the JSON, or "
                "return what you need from a workflow of your own, with desk.run(ctx, …)"
            )
        return self._adapter.validate_python(result)


def _adapter_of(output_type: Any) -> TypeAdapter[Any] | None:
    kinds = _kinds(output_type)
    if not all(isinstance(kind, type) or getattr(kind, "__args__", None) for kind in kinds):
        return None
    try:
        return TypeAdapter(reduce(_union, kinds))
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, TypeError):
        return None


def _kinds(output_type: Any) -> list[Any]:
    match output_type:
        case ToolOutput():
            return _kinds(cast("Any", output_type).output)
        case NativeOutput() | PromptedOutput():
            return _kinds(cast("Any", output_type).outputs)
        case list() | tuple():
            return [kind for one in cast("Sequence[Any]", output_type) for kind in _kinds(one)]
        case _:
            return [output_type]


def _union(one: Any, other: Any) -> Any:
    return one | other
