# SPDX-License-Identifier: Apache-2.0
"""What every command that asks the mesh needs: settings, a screen, a connection, and one event loop around it."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.cli.failures import ExitCode
from nervenet.cli.render.screen import Screen
from nervenet.config import Config
from nervenet.errors import RequestError

if TYPE_CHECKING:
    from nervenet.client.raw import RawClient
    from nervenet.rpc.methods import RpcMethod


class CommandContext(NamedTuple):
    """A running command: its arguments, the screen, the settings and the connection to the mesh."""

    args: argparse.Namespace
    screen: Screen
    config: Config
    mesh: RawClient

    def me(self) -> str:
        """Who asks, for the record. Empty if a token identifies the caller."""
        if self.config.has_token:
            return ""
        try:
            return f"{getpass.getuser()}@{socket.gethostname()}"
        except (KeyError, OSError):  # a user id without a name, as containers have them
            return f"uid-{os.getuid()}@{socket.gethostname()}"


READ_TIMEOUT: Final = 6.0
"""Seconds after which a person hears why a list or a page does not come. A connection to Redis that hangs is noticed in five."""
WRITE_TIMEOUT: Final = 10.0
BACK_SOON: Final = "Nothing is lost: the mesh goes on when it is back. What is wrong, and what to do: nervenet doctor"
_LONGER: Final[Mapping[str, float | None]] = {
    "AwaitWorkflows": None,
    "StreamStarts": None,
    "RunTask": None,
    "RetryWorkflow": 40.0,
    "RestartWorkflow": 40.0,
}
"""Calls that wait for work; None = as long as it takes."""


def longest_wait(rpc: RpcMethod) -> float | None:
    """Seconds that a command waits for an answer of the mesh."""
    return READ_TIMEOUT if rpc.reads else _LONGER.get(rpc.name, WRITE_TIMEOUT)


Work = Callable[[CommandContext], Awaitable[int | None]]


def settings(args: argparse.Namespace) -> Config:
    return Config.load(address=args.address, namespace=args.namespace)


def screen(args: argparse.Namespace) -> Screen:
    return Screen(color=args.color, json=args.json, quiet=args.quiet, wide=args.wide)


def ask_mesh(args: argparse.Namespace, work: Work) -> int:
    """Run `work` with a connection. Its None is exit code 0."""

    async def whole() -> int:
        config = settings(args)
        from nervenet.client.raw import RawClient

        async with RawClient(config, longest=longest_wait) as mesh:
            try:
                return await work(CommandContext(args, screen(args), config, mesh)) or ExitCode.DONE
            except RequestError as error:
                if error.reason == "BACKEND_DOWN":
                    error.add_note(BACK_SOON)
                raise

    return asyncio.run(whole())
