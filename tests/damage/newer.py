# SPDX-License-Identifier: Apache-2.0
"""The same workflows on a node of a release that is to come: it knows a failure code which ours does not."""

from __future__ import annotations

import nervenet.node.registration as registration
from nervenet.records import FailureCode
from nervenet.wire import values
from tests.damage.app import mesh

__all__ = ["mesh"]

CODE_OF_TOMORROW = 99
values._FAILURE_CODES[CODE_OF_TOMORROW] = FailureCode.DEPENDENCY  # type: ignore[index]
registration.version = lambda name: "99.0.0"  # type: ignore[attr-defined]
