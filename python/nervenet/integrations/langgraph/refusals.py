# SPDX-License-Identifier: Apache-2.0
"""What the integration does not support, each as one sentence that names the line and the cure."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any


def line_of(runnable: Any) -> str:
    """Where a node's function is written, for a message: `desk.py:12`; "" if it has no code of its own."""
    function = getattr(runnable, "func", None) or getattr(runnable, "afunc", None) or runnable
    function = inspect.unwrap(getattr(function, "func", function))  # functools.partial
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        code = getattr(vars(type(function)).get("__call__"), "__code__", None)
    return "" if code is None else f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def placed(runnable: Any) -> str:
    """The same in brackets, behind the name of a node; "" where there is no line."""
    line = line_of(runnable)
    return f" ({line})" if line else ""
