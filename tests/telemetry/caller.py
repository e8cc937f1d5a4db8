# SPDX-License-Identifier: Apache-2.0
"""A user's program: starts the workflows named on its command line at once (`plain=alpha retried=beta`), and waits.

`--inside` starts them from within a span of its own.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext

from opentelemetry import baggage, context, trace

from nervenet import Client
from tests.telemetry import app


async def main(arguments: list[str]) -> None:
    inside = "--inside" in arguments
    wanted = [argument.split("=") for argument in arguments if "=" in argument]
    async with Client() as client:
        context.attach(baggage.set_baggage("tenant", "acme"))
        with trace.get_tracer("caller").start_as_current_span("the user's request") if inside else nullcontext():
            handles = await asyncio.gather(
                *(client.start(getattr(app, name), text, id=f"{name}-{text}") for name, text in wanted)
            )
        if "--leave" not in arguments:
            await asyncio.gather(*(handle.result() for handle in handles))


asyncio.run(main(sys.argv[1:]))
