# SPDX-License-Identifier: Apache-2.0
"""A node under calls while its token file is emptied, blanked, deleted, garbled and written piece by piece.

    python -m tests.rpc.token_storm --rounds 5 --rate 1000

Every answer is judged: one that was not refused must have carried a whole token that stood in the file within the last
seconds. Refusals must be statuses with a reason, and the right token must be accepted again soon after it is there.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from nervenet.rpc.status import error_of
from nervenet.timing import FILE_LOOK_AGAIN, FILE_LOOK_EVERY, TOKEN_GRACE
from tests.support.mesh import STORIES, ProcessMesh, mesh_alone
from tests.support.torture import command_line

METHOD = "/nervenet.v1.RegistryService/ListNodes"
SLACK = 1.0
"""Seconds that a busy machine may add to whatever the node does by the clock."""
ROTATED_WITHIN = FILE_LOOK_EVERY + 3 * FILE_LOOK_AGAIN + SLACK


def garble(file: Path, chance: random.Random) -> None:
    file.write_bytes(b"\x00\xff" + chance.randbytes(30))


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


BREAKS: dict[str, Callable[[Path, random.Random], object]] = {
    "empty": lambda file, _: file.write_bytes(b""),
    "blank": lambda file, _: file.write_bytes(b" \n\t\n"),
    "deleted": lambda file, _: file.unlink(),
    "binary": garble,
    "a folder": lambda file, _: as_folder(file),
}


@dataclass
class Storm:
    """`asyncio.run(Storm(address, file).rage(…))`; `problems` is empty when the node did right."""

    address: str
    file: Path
    chance: random.Random
    token: str = ""
    problems: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: dict[str, float] = field(default_factory=dict)
    """Until when each whole token was in the file; the one that is there now, for ever."""
    slowest: float = 0.0
    _over: bool = False
    _ask: Any = None

    async def rage(self, rounds: int, rate: int, pause: float, long: float, *, rotate: bool) -> None:
        """Each round breaks the file in each way for `pause` seconds, and in one of them for `long` ones; what is written
        then is the same token, or (`rotate`) another one. At last another one is written piece by piece."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            self._ask = channel.unary_unary(METHOD)
            await self._write_in_one(self._next())
            calling = asyncio.create_task(self._call(rate))
            try:
                for n in range(rounds):
                    longest = list(BREAKS)[n % len(BREAKS)]
                    for name, ruin in BREAKS.items():
                        self._leave()
                        ruin(self.file, self.chance)
                        await asyncio.sleep(long if name == longest else pause)
                        if self.file.is_dir():
                            self.file.rmdir()
                        await self._write_in_one(self._next() if rotate else self.token)
                    await self._write_in_pieces(self._next())
            finally:
                self._over = True
                await calling

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _leave(self) -> None:
        if self.token:
            self.held[self.token] = time.monotonic()

    def _next(self) -> str:
        self._leave()
        self.token = "".join(self.chance.choices("abcdefghijklmnopqrstuvwxyz", k=24))
        return self.token

    async def _write_in_one(self, new: str) -> None:
        self.held[new] = float("inf")
        self.file.write_text(f"{new}\n")
        await self._accepted()

    async def _write_in_pieces(self, new: str) -> None:
        """Truncate, then write: a reader meanwhile meets nothing, a piece, or all of it."""
        with self.file.open("w") as opened:
            await asyncio.sleep(FILE_LOOK_AGAIN / 5)
            for at in range(0, len(new), 8):
                opened.write(new[at : at + 8])
                opened.flush()
                await asyncio.sleep(FILE_LOOK_AGAIN / 5)
            self.held[new] = float("inf")
        await self._accepted()

    async def _accepted(self) -> None:
        began = time.monotonic()
        while await self._once(f"Bearer {self.token}") != "OK":
            if time.monotonic() - began > ROTATED_WITHIN:
                self.problems.append(f"the right token is refused after {ROTATED_WITHIN} s")
                return
            await asyncio.sleep(0.02)
        self.slowest = max(self.slowest, time.monotonic() - began)

    # ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _call(self, rate: int) -> None:
        began, sent = time.monotonic(), 0
        calls: set[asyncio.Task[str]] = set()
        while not self._over:
            due = int((time.monotonic() - began) * rate) - sent
            for _ in range(min(due, 100 - len(calls))):
                task = asyncio.create_task(self._once(self._header()))
                calls.add(task)
                task.add_done_callback(calls.discard)
                sent += 1
            await asyncio.sleep(0.01)
        await asyncio.gather(*calls)
        print(f"{sent / (time.monotonic() - began):.0f} calls/s")

    def _header(self) -> str:
        """What a caller may show: mostly not the right thing."""
        tokens = list(self.held)
        some = self.chance.choice(tokens)
        return self.chance.choice(
            ("", "Bearer ", "Bearer", "Bearer None", "Bearer guessed", self.token, f"Bearer {some[:8]}",
             f"Bearer {self.token[:16]}", f"Bearer {some}", f"Bearer {self.token}")
        )  # fmt: skip

    async def _once(self, header: str) -> str:
        began = time.monotonic()
        metadata = [("authorization", header)] if header else []
        try:
            await self._ask(b"", metadata=metadata, timeout=10)
            self._judge(header, began)
            told = ("OK", "")
        except grpc.aio.AioRpcError as error:
            found = error_of(error, self.address)
            told = (found.code, found.reason)
            if told not in (("UNAUTHENTICATED", "BAD_TOKEN"), ("UNAVAILABLE", "TOKEN_UNREADABLE")):
                self.problems.append(f"{header!r} was refused with {told}: {found}")
        self.answers[told] += 1
        return told[0]

    def _judge(self, header: str, began: float) -> None:
        """An answer: its token stood in the file, or did so not long ago."""
        until = self.held.get(header.removeprefix("Bearer "), float("-inf"))
        if not header.startswith("Bearer ") or until + TOKEN_GRACE + FILE_LOOK_EVERY + SLACK < began:
            self.problems.append(f"{header!r} was answered, {began - until:.1f} s after it was a token")


def storm(
    host: ProcessMesh, seed: int, rounds: int, rate: int, pause: float, long: float, *, rotate: bool = True
) -> Storm:
    """Against a node of its own."""
    file = host.folder / "token"
    file.write_text("before")
    (node,) = host.up(host.node(NERVENET_TOKEN_FILE=str(file)))
    raging = Storm(node.address, file, random.Random(seed))
    asyncio.run(raging.rage(rounds, rate, pause, long, rotate=rotate))
    if "Traceback" in node.log or not node.alive:
        raging.problems.append(f"the node:\n{node.log[-3000:]}")
    return raging


def main() -> None:
    given = command_line(__doc__, rounds=5, rate=1000, seed=random.randrange(1 << 32)).parse_args()
    print(f"seed {given.seed}")
    with mesh_alone(STORIES) as host:
        done = storm(host, given.seed, given.rounds, given.rate, 1.0, TOKEN_GRACE + 3)
    for told, count in sorted(done.answers.items()):
        print(f"{count:8} {' '.join(told)}")
    print(f"a new token is accepted after {done.slowest:.2f} s at most; {len(done.problems)} problems")
    raise SystemExit("\n".join(done.problems[:20]) or 0)


if __name__ == "__main__":
    main()
