# SPDX-License-Identifier: Apache-2.0
"""The way of one update: route, estimate, check, perhaps a question to a person, notify."""

from __future__ import annotations

from nervenet import CallFailed, Context

from .agents import check, estimate, notify, route, text_for
from .agents import mesh as mesh
from .models import BROKEN_UPDATE, NOTIFIED, UNKNOWN_SHIPMENT, Decision, Message, Outcome, Update


@mesh.workflow
async def shipment_update(ctx: Context, update: Update) -> Outcome:
    try:
        position = await ctx.call(route, update)
    except CallFailed as error:
        if error.is_a("UnknownShipment"):
            return Outcome(update.id, UNKNOWN_SHIPMENT)
        if error.is_a("BrokenUpdate"):
            return Outcome(update.id, BROKEN_UPDATE)
        raise
    estimated = await ctx.call(estimate, position)
    finding = await ctx.call(check, estimated)
    decision = None
    if finding.needs_person:
        answer = await ctx.ask(
            f"{update.tracking}: {finding.words}. What now?", answer=Decision, context=position, assignee="support"
        )
        decision = answer.value
    text = text_for(estimated, finding, decision)
    receipt = await ctx.call(notify, Message(update.id, position.order.customer, text))
    return Outcome(update.id, NOTIFIED, receipt, estimated.arrival, decision)
