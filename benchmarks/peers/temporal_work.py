# SPDX-License-Identifier: Apache-2.0
"""The workflow and the activity of Temporal's worker, which must be found at the top of a module."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from comparing.work import STEPS, work


@activity.defn
async def step(text: str) -> str:
    """Hands back what it got."""
    await work("", text)
    return text


@workflow.defn(name="four")
class Four:
    @workflow.run
    async def run(self, text: str) -> str:
        for _ in range(STEPS["four"]):
            text = await workflow.execute_activity(step, text, start_to_close_timeout=timedelta(minutes=1))
        return text
