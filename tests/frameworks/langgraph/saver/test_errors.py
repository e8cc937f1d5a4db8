# SPDX-License-Identifier: Apache-2.0
"""What goes wrong is a sentence with the cure; and encryption."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import hashlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from nervenet import NervenetError
from nervenet.dev.servers import Server, free_port
from nervenet.integrations.langgraph import LANGGRAPH, CheckpointsUnavailable, NervenetSaver
from tests.frameworks.langgraph.saver import graphs
from tests.frameworks.langgraph.saver.conftest import SaverFactory
from tests.support.waiting import wait_until


def config_of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NervenetSaver("localhost:6379"), "it should look like redis://"),
        (lambda: NervenetSaver("http://localhost"), "it should look like redis://"),
        (lambda: NervenetSaver("redis+sentinel://a,b"), "needs the master's name"),
        (lambda: NervenetSaver("redis://h", ttl=timedelta(0)), "ttl is 0:00:00: give a positive timedelta"),
        (lambda: NervenetSaver("redis://h", keep=0), "keep is 0: at least 1 checkpoint"),
        (lambda: NervenetSaver("redis://h", namespace="a b"), "'a b' cannot be a namespace"),
    ],
)
def test_wrong_arguments(make: Callable[[], object], words: str) -> None:
    with pytest.raises((NervenetError, ValueError)) as caught:
        make()
    assert words in str(caught.value)


def test_a_password_is_in_no_text() -> None:
    saver = NervenetSaver("redis://user:secret@localhost:1/0")
    assert repr(saver) == "<NervenetSaver default at redis://localhost:1/0>"


def test_no_server() -> None:
    with NervenetSaver(f"redis://127.0.0.1:{free_port()}") as saver:
        wait_at_most(saver, 0.3)
        began = time.monotonic()
        with pytest.raises(CheckpointsUnavailable, match=r"tried for 0\.3 s") as caught:
            saver.get_tuple(config_of("1"))
        assert time.monotonic() - began < 10
    message = str(caught.value)
    assert message.startswith("Redis does not serve checkpoints: ")
    assert "Is the server up, and is this its address?" in message


async def test_calls_at_once_share_one_attempt_to_connect() -> None:
    async def failed_after(saver: NervenetSaver) -> float:
        with pytest.raises(CheckpointsUnavailable):
            await saver.aget_tuple(config_of("1"))
        return time.monotonic()

    async with NervenetSaver(f"redis://127.0.0.1:{free_port()}") as saver:
        wait_at_most(saver, 1.0)
        began = time.monotonic()
        ends = await asyncio.gather(*(failed_after(saver) for _ in range(8)))
        assert max(ends) - min(ends) < 0.5 and max(ends) - began < 8 * 1.0, "one after the other, eight take 8 s"


def wait_at_most(saver: NervenetSaver, seconds: float) -> None:
    """The wait for the first connection, which users cannot choose."""
    saver._store._settings = dataclasses.replace(saver._store._settings, wait=seconds)


def test_a_server_that_goes_and_comes_back(own_server: Server) -> None:
    """A command waits for the server, up to `patience`; after that the next call tries again."""
    with NervenetSaver(own_server.url, patience=timedelta(seconds=0.5)) as saver:
        graphs.steps(saver).invoke({"text": "in"}, config_of("1"))
        own_server.kill()
        wait_until(lambda: not own_server.alive, "the server is gone")
        with pytest.raises(CheckpointsUnavailable, match=r"a command is repeated for 0\.5 s"):
            graphs.steps(saver).invoke({"text": "in"}, config_of("2"))
        asyncio.run(own_server.restart())
        assert graphs.steps(saver).invoke({"text": "in"}, config_of("3"))["text"] == "three"


def test_a_run_waits_while_the_server_restarts(own_server: Server) -> None:
    with NervenetSaver(own_server.url) as saver:
        graphs.steps(saver).invoke({"text": "in"}, config_of("1"))
        own_server.kill()
        back = threading.Timer(1.0, lambda: asyncio.run(own_server.restart()))
        back.start()
        assert graphs.steps(saver).invoke({"text": "in"}, config_of("2"))["text"] == "three"
        back.join()


def test_a_full_server(own_server: Server) -> None:
    with redis.Redis.from_url(own_server.url) as client, NervenetSaver(own_server.url) as saver:
        graphs.steps(saver).invoke({"text": "in"}, config_of("1"))
        client.config_set("maxmemory", "1mb")
        with pytest.raises(CheckpointsUnavailable, match="OOM"):
            graphs.steps(saver).invoke({"text": "in"}, config_of("2"))


def test_a_wrong_password(own_server: Server) -> None:
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("requirepass", "right")
    url = own_server.url.replace("redis://", "redis://:wrong@")
    with NervenetSaver(url) as saver, pytest.raises(CheckpointsUnavailable, match="did not let us") as caught:
        saver.get_tuple(config_of("1"))
    assert "wrong" not in str(caught.value).replace("WRONGPASS", "")


def test_a_closed_saver(redis_url: str) -> None:
    with NervenetSaver(redis_url) as saver:
        saver.get_tuple(config_of("1"))
    with pytest.raises(CheckpointsUnavailable, match="closed"):
        saver.get_tuple(config_of("1"))
    saver.close()


async def test_a_cancelled_call(saver: NervenetSaver) -> None:
    await saver.aget_tuple(config_of("1"))
    task = asyncio.create_task(saver.aget_tuple(config_of("1")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await saver.aget_tuple(config_of("1")) is None


@pytest.mark.parametrize("config", [{}, {"configurable": {}}])
def test_no_thread(saver: NervenetSaver, config: Any) -> None:
    with pytest.raises(ValueError, match="names no thread"):
        saver.get_tuple(config)


def test_no_strategy(saver: NervenetSaver) -> None:
    with pytest.raises(ValueError, match="'keep_latest' or 'delete'"):
        saver.prune(["1"], strategy="keep_all")


def test_a_key_of_another_program(saver: NervenetSaver, redis_url: str) -> None:
    saver.get_tuple(config_of("1"))
    namespace, thread = saver._options.namespace, str(uuid.uuid4())
    key = f"nn:{namespace}:checkpoints:{{{thread}}}"
    with redis.Redis.from_url(redis_url) as client:
        client.set(key, "text")
        with pytest.raises(CheckpointsUnavailable, match="WRONGTYPE"):
            saver.get_tuple(config_of(thread))
        client.delete(key)
        client.zadd(key, {b"c\0\0id\0garbage": 0})
        with pytest.raises(NervenetError):
            list(saver.list(config_of(thread)))


def test_a_saver_that_nobody_closed_ends_its_thread(redis_url: str) -> None:
    saver = NervenetSaver(redis_url)
    saver.get_tuple(config_of("1"))
    running = saver._store._running
    assert running is not None
    thread = running.thread
    assert thread.is_alive()
    del saver, running
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_program_that_closes_nothing_ends_in_silence(redis_url: str) -> None:
    program = f"""
from nervenet.integrations.langgraph import LANGGRAPH, NervenetSaver
saver = NervenetSaver({redis_url!r})
print(saver.get_tuple({{"configurable": {{"thread_id": "none"}}}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


@pytest.mark.parametrize(
    ("found", "fits"),
    [("1.0.9", False), ("1.0.10", True), ("1.2.24", True), ("1.3.0rc1", True), ("2.0.0", False), ("0.6.11", False)],
)
def test_the_versions_of_langgraph(found: str, fits: bool) -> None:
    if fits:
        LANGGRAPH.require(found)
        return
    with pytest.raises(ImportError, match=rf"1\.0\.10 and later, below 2; {found} is installed\. Install"):
        LANGGRAPH.require(found)


class Cipher:
    """A stream of hashes as a key stream: good enough to see that nothing is stored in clear."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _stream(self, nonce: bytes, data: bytes) -> bytes:
        blocks = b"".join(
            hashlib.sha256(self._key + nonce + bytes([n % 256, n // 256])).digest() for n in range(len(data) // 32 + 1)
        )
        return bytes(a ^ b for a, b in zip(data, blocks, strict=False))

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        nonce = os.urandom(8)
        return "test", nonce + self._stream(nonce, plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "test"
        return self._stream(ciphertext[:8], ciphertext[8:])


def test_encryption(make_saver: SaverFactory, redis_url: str) -> None:
    thread, key = str(uuid.uuid4()), os.urandom(16)
    saver = make_saver(serde=EncryptedSerializer(Cipher(key)))
    graph = graphs.chat(saver)
    for turn in range(5):
        graph.invoke({"messages": [("user", f"my secret {turn}")]}, config_of(thread))
    other = make_saver(serde=EncryptedSerializer(Cipher(key)))
    contents = [message.content for message in graphs.chat(other).get_state(config_of(thread)).values["messages"]]
    assert contents[::2] == [f"my secret {turn}" for turn in range(5)]
    assert len(list(other.list(config_of(thread), filter={"source": "input"}))) == 5
    with redis.Redis.from_url(redis_url) as client:
        (stored_key,) = client.scan_iter(f"nn:*{{{thread}}}", count=10_000)
        stored = b"".join(client.zrange(stored_key, 0, -1))  # type: ignore[arg-type]
    assert b"secret" not in stored
    assert b"answer 1" not in stored  # the node's name is in clear: it is the name of a channel
