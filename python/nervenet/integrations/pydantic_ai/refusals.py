# SPDX-License-Identifier: Apache-2.0
"""What the integration does not support, beside what all integrations refuse."""

from __future__ import annotations

from nervenet.errors import NervenetError
from nervenet.integrations.refusals import Framework

__all__ = ["PYDANTIC_AI", "NotEncodable"]

PYDANTIC_AI = Framework("Pydantic AI", "pydantic-ai-slim", "pydantic_ai", "pydantic-ai", lowest=(2, 68), below=(3,))


class NotEncodable(NervenetError, TypeError):
    """A value cannot travel between processes. The message says which one and what to do."""
