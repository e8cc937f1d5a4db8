# SPDX-License-Identifier: Apache-2.0
"""The agents that `documents` calls, in processes of their own: `nervenet agent readers.py --only extract,summarize`."""

from contracts import Doc, Facts, Summary

from nervenet import Mesh

mesh = Mesh("readers")
MARK = "(c) "


@mesh.agent
async def extract(doc: Doc) -> Facts:
    """Who holds the copyright."""
    marked = (line.partition(MARK)[2] for line in doc.text.splitlines() if MARK in line)
    return Facts(holders=[holder.strip() for holder in marked])


@mesh.agent
async def validate(doc: Doc) -> list[str]:
    """What is odd about it."""
    return [f"{doc.name} names no licence"] if "licen" not in doc.text.lower() else []


@mesh.agent
async def summarize(facts: Facts) -> Summary:
    return Summary(text=f"held by {' and '.join(facts.holders) or 'nobody'}")
