# SPDX-License-Identifier: Apache-2.0
"""The versions of Pydantic AI that the integration takes."""

from __future__ import annotations

from nervenet.integrations.refusals import Framework

__all__ = ["PYDANTIC_AI"]

PYDANTIC_AI = Framework("Pydantic AI", "pydantic-ai-slim", "pydantic_ai", "pydantic-ai", lowest=(2, 68), below=(3,))
