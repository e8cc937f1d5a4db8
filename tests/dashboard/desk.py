# SPDX-License-Identifier: Apache-2.0
"""What the mesh of these tests runs: an invoice desk that has a workflow in each state that the dashboard shows."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Signal, Task
from tests.support.story import passed

mesh = Mesh("desk")
paid = Signal[str]("paid", str)

PATIENT = CallOptions(
    retry=RetryPolicy(max_attempts=5, initial_interval=timedelta(minutes=10), max_interval=timedelta(hours=1))
)
CAREFUL = CallOptions(retry=RetryPolicy(max_attempts=1, on_exhausted="escalate"))
QUICK = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=150)))


class Line(BaseModel):
    """A line of an invoice."""

    text: str = Field(title="Text")
    price: float


class Approval(BaseModel):
    """What the department decides about an invoice."""

    amount: float = Field(title="Amount", description="In euros, with tax.")
    account: Literal["travel", "hardware", "services"] = Field(title="Account")
    urgent: bool = Field(False, title="Urgent")
    note: str | None = Field(None, title="Note")
    lines: list[Line] = Field(default_factory=list, title="Lines")


class Invoice(BaseModel):
    """An invoice that came in."""

    supplier: str = Field(title="Supplier")
    pages: int = Field(3, title="Pages")


class RateLimited(Exception):
    """The bank asks to come again later."""


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@mesh.agent(slots=8)
async def scan(task: Task, page: int) -> str:
    """Reads a page of a scanned invoice."""
    await asyncio.sleep(0.15 + 0.11 * (page % 4))
    if page == 2 and task.attempt == 1:
        raise OSError("the scanner is warming up")
    return f"page {page}: 3 lines"


@mesh.agent(slots=4)
async def extract(task: Task, pages: list[str]) -> dict[str, Any]:
    """Finds supplier, amount and account in the text, with a language model."""
    task.usage("large-3", input_tokens=4180, output_tokens=312)
    await asyncio.sleep(0.5)
    return {"supplier": "Kern & Söhne", "amount": 1841.5, "account": "hardware", "pages": len(pages)}


@mesh.agent(slots=4, options=PATIENT)
async def book(amount: float) -> str:
    """Books an amount at the bank."""
    raise RateLimited(f"429 from the bank for {amount}")


@mesh.agent(slots=4, options=CAREFUL)
async def translate(text: str) -> str:
    """Translates a letter of a supplier."""
    return str({"hello": "hallo"}[text])


@mesh.agent(slots=4)
async def ocr(path: str) -> str:
    """Reads handwriting. No process of the tests serves it."""
    return path


@mesh.agent(slots=1)
async def render(name: str) -> str:
    """Draws a page with a library that kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return name


@mesh.agent(slots=4)
async def write(task: Task, topic: str) -> str:
    """Writes a letter, word by word."""
    words = f"Dear reader, this letter is about {topic} and it comes word by word".split()
    for number, word in enumerate(words):
        task.emit(f"{word} ")
        task.progress((number + 1) / len(words), f"word {number + 1}")
        await asyncio.sleep(0.05)
    await passed(topic)
    return " ".join(words)


@mesh.agent(slots=50)
async def count(number: int) -> int:
    """Adds one; to a number below zero it adds nothing."""
    if number < 0:
        raise ValueError(f"{number} is below zero")
    return number + 1


@mesh.agent(slots=4)
async def echo(value: Any) -> Any:
    """Gives back what it gets."""
    return value


# ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────────


@mesh.workflow
async def invoice(ctx: Context, given: Invoice) -> dict[str, Any]:
    """Scans an invoice, finds what it says, and has a person approve it."""
    pages = await ctx.map(scan, list(range(1, given.pages + 1)), options=QUICK)
    found = await ctx.call(extract, pages)
    ctx.publish({"supplier": given.supplier, "amount": found["amount"]})
    answer = await ctx.ask(
        f"Approve {found['amount']} € for {given.supplier}?", answer=Approval, context=found, deadline=timedelta(days=2)
    )
    approval = answer.value
    return {"approved": approval.amount, "account": approval.account}


@mesh.workflow
async def expense(ctx: Context, amount: float) -> str:
    """Asks whether an expense may be paid."""
    answer = await ctx.ask(f"Pay {amount:.2f} € to Ana?", choices=["yes", "no"], context={"receipts": 2})
    return f"paid: {answer.value}"


@mesh.workflow
async def letter(ctx: Context, topic: str) -> str:
    """Writes a letter."""
    return await ctx.call(write, topic)


@mesh.workflow
async def payment(ctx: Context, amount: float) -> str:
    """Books a payment; the bank is slow today."""
    return await ctx.call(book, amount)


@mesh.workflow
async def reminder(ctx: Context, days: int) -> str:
    """Waits for money, and reminds."""
    try:
        async with asyncio.timeout(days * 86_400):
            return await ctx.receive(paid)
    except TimeoutError:
        return "reminded"


@mesh.workflow
async def nightly(ctx: Context, hours: int) -> str:
    """Sleeps until the night."""
    await asyncio.sleep(hours * 3600)
    return "done"


@mesh.workflow
async def archive(ctx: Context, path: str) -> str:
    """Reads handwriting, which nobody can here."""
    return await ctx.call(ocr, path)


@mesh.workflow
async def poster(ctx: Context, name: str) -> str:
    """Draws a poster; its task ends every agent that runs it."""
    return await ctx.call(render, name)


@mesh.workflow
async def greeting(ctx: Context, text: str) -> str:
    """Translates; a failure asks a human."""
    return await ctx.call(translate, text)


@mesh.workflow
async def report(ctx: Context, months: dict[str, int]) -> int:
    """Has a programming error."""
    await ctx.call(count, 1)
    return months["may"]


@mesh.workflow(on_error="fail")
async def refund(ctx: Context, amount: float) -> str:
    """Fails."""
    await ctx.call(count, 1)
    raise ValueError(f"no payment of {amount} € to give back")


@mesh.workflow
async def month(ctx: Context, names: list[str]) -> list[str]:
    """A child workflow for each name."""
    return list(await asyncio.gather(*(ctx.call(reminder, days) for days in range(3, 3 + len(names)))))


@mesh.workflow
async def tally(ctx: Context, numbers: int) -> int:
    """Many steps that are alike."""
    return sum(await ctx.map(count, list(range(numbers)), concurrency=200))


@mesh.workflow
async def batches(ctx: Context, size: int) -> int:
    """Three times many steps that are alike, each time after a signal."""
    total = 0
    for _ in range(3):
        total += sum(await ctx.map(count, list(range(size)), concurrency=200))
        await ctx.receive(paid)
    return total


@mesh.workflow
async def losses(ctx: Context, numbers: int) -> int:
    """Many steps that are alike, and all of them fail."""
    once = CallOptions(retry=RetryPolicy(max_attempts=1))
    found = await ctx.map_settled(count, [-1 - each for each in range(numbers)], concurrency=200, options=once)
    return len(found)


@mesh.workflow
async def journey(ctx: Context, stops: int) -> int:
    """Many steps that are unlike each other."""
    calls = (ctx.call(count, stop, options=CallOptions(step=f"stop-{stop}")) for stop in range(stops))
    return sum(await asyncio.gather(*calls))


@mesh.workflow
async def parrot(ctx: Context, value: Any) -> Any:
    """Gives back what it gets, and shows it on the way."""
    said = await ctx.call(echo, value)
    answer = await ctx.ask(str(value)[:2000], answer=str, context=value)
    return [said, answer.value]
