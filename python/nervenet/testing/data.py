# SPDX-License-Identifier: Apache-2.0
"""A workflow given as data, for a test: `t.run(declared(json.loads(text)), doc)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nervenet.definitions import Workflow
from nervenet.durable.declared import workflow_of
from nervenet.wire import declaration_from_json


def declared(definition: Mapping[str, Any], /) -> Workflow[Any, Any]:
    """A workflow given as data, for a test: `t.run(declared(json.loads(text)), doc)`.

    Args:
        definition: The definition as plain data, as a JSON or YAML parser gives it.

    Raises:
        ValueError: The definition is wrong. The message has every problem with its path.
    """
    declaration, problems = declaration_from_json(definition)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return workflow_of(declaration)
