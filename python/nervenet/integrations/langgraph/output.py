# SPDX-License-Identifier: Apache-2.0
"""The result of `DurableGraph.workflow`: the graph's output without values that are the schema's defaults.

A state that is a model or a dataclass writes all of its fields. So a field that a later release adds with a default would
be in the result of the same journal, and the recorded run would not replay.
"""

from __future__ import annotations

from typing import Any

from nervenet.integrations.defaults import defaults_of, same
from nervenet.integrations.langgraph.codec import Values

OUTPUT = "output"
"""The tag of a result that `decode` turns into Python objects."""


class Output:
    """The codec of a graph's output.

    Args:
        values: The codec of its values.
        schema: Its output schema.
    """

    def __init__(self, values: Values, schema: Any) -> None:
        self._values, self._defaults = values, defaults_of(schema)

    def trimmed(self, output: Any) -> Any:
        """Without what has its default."""
        if not isinstance(output, dict) or not self._defaults:
            return output
        makers = self._defaults
        return {key: one for key, one in output.items() if not (key in makers and same(one, makers[key]()))}

    def encode(self, output: Any) -> Any:
        """As JSON."""
        return {"~": OUTPUT, "value": self._values.encode(self.trimmed(output))}

    def decode(self, result: Any) -> Any:
        """What `encode` was given, with the defaults of the schema. Other JSON is decoded as a value."""
        if not isinstance(result, dict) or result.get("~") != OUTPUT:
            return self._values.decode(result)
        output = self._values.decode(result["value"])
        missing = (
            {key: make() for key, make in self._defaults.items() if key not in output}
            if isinstance(output, dict)
            else {}
        )
        return {**output, **missing} if missing else output
