# SPDX-License-Identifier: Apache-2.0
"""The page of a mesh with encrypted payloads: it has no keys, shows that in words, and works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from nervenet import Client
from nervenet.config import Config
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.dashboard.states import open_desk
from tests.encryption.keys import codec, key_file
from tests.encryption.stories import failing
from tests.support.mesh import ProcessMesh, settled

SECRET = "nobody-may-read-this"  # what a user would encrypt


def test_encrypted_values_are_words(browser: Browser, redis_url: str, etcd_url: str, tmp_path: Path) -> None:
    setting = codec(key_file(tmp_path / "keys", "k1"))
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/encryption/stories.py", NERVENET_CODEC=setting) as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        in_a_loop_of_its_own(lambda: fill(mesh, setting))
        visitor = Visitor(browser, found.address)
        page = visitor.open("workflows/failing")
        expect(page.get_by_text("Refused: encrypted (key id k1)").first).to_be_visible()
        assert SECRET not in page.content()
        page = visitor.open("workflows/broken")
        expect(page.get_by_text("KeyError: encrypted (key id k1)").first).to_be_visible()
        assert SECRET not in page.content()
        assert "encoded[" not in page.inner_text("body"), "no line of base64 instead of words"
        assert visitor.problems == []
        visitor.context.close()


async def fill(mesh: ProcessMesh, setting: str) -> None:
    config = Config.load(address=mesh.addresses, namespace=mesh.namespace, codec=setting)
    async with Client(config=config) as client:
        run: Any = await client.start(failing, SECRET, id="failing")
        await settled(run, "FAILED", mesh)
        run = await client.start("broken", SECRET, id="broken")
        await settled(run, "BLOCKED", mesh)
