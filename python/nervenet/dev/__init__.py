# SPDX-License-Identifier: Apache-2.0
"""The whole mesh on one machine: embedded servers and one supervisor, for development and tests.

    async with nervenet.dev.running(mesh) as client:
        assert await client.run(welcome, ["Ada"]) == ["Hello, Ada"]

`servers` has Valkey and etcd as values, `supervisor` is `nervenet dev`, `in_process` is `running`, which is imported when it
is used: the servers alone need none of the rest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervenet.dev.in_process import running as running

__all__ = ["running"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "running":
            raise AttributeError(f"module 'nervenet.dev' has no attribute {name!r}")
        from nervenet.dev.in_process import running

        return running
