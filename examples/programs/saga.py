# SPDX-License-Identifier: Apache-2.0
"""A trip in three bookings, taken back in reverse order where one of them fails.

Try it:

    nervenet dev saga.py
    nervenet start book '{"who": "Ada", "days": 31}' --wait
"""

from contextlib import AsyncExitStack

import travel
from travel import Trip, book_car, book_flight, cancel_car, cancel_flight, charge

from nervenet import CallFailed, CallOptions, Context, Mesh, RetryPolicy

mesh = Mesh("travel")
mesh.include(travel.mesh)
# an undo that keeps failing asks a human
UNDO = CallOptions(retry=RetryPolicy(max_attempts=20, on_exhausted="escalate"))


@mesh.workflow
async def book(ctx: Context, trip: Trip) -> str:
    try:
        async with AsyncExitStack() as undo:  # leaving by an error or a cancel runs it backwards, durably
            undo.push_async_callback(lambda: ctx.call(cancel_flight, trip, options=UNDO))
            await ctx.call(book_flight, trip)  # its undo is pushed first: a booking that timed out may exist
            undo.push_async_callback(lambda: ctx.call(cancel_car, trip, options=UNDO))
            await ctx.call(book_car, trip)
            receipt = await ctx.call(charge, trip)
            undo.pop_all()  # paid: nothing to undo
            return receipt
    except CallFailed as error:
        if error.is_a("CardDeclined"):
            return "declined"
        raise
