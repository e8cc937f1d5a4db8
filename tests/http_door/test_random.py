# SPDX-License-Identifier: Apache-2.0
"""Random requests for every method: each has an answer that is no inner error, and the node goes on."""

from __future__ import annotations

import json
import os
import random
from typing import Any

from nervenet.rpc.methods import METHODS
from tests.http_door.world import COORDINATOR, JSON, PROTO, HttpWorld, call, envelope, envelopes

CALLS = 400
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 1e308, "", "a", "\u202egnp", "x" * 2000, [], {}, [[]], {"a": []}, "1s", "-1s", "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "NaN", "AAAA", "\x00", ["a"] * 50, {"value": {"deep": [1, {"b": None}]}}, {"json": "{"},
)  # fmt: skip


def any_message(chance: random.Random, descriptor: Any, depth: int = 3) -> dict[str, Any]:
    """Fields of the message with values that fit now and then."""
    found: dict[str, Any] = {}
    for field in descriptor.fields:
        if chance.random() < 0.5:
            continue
        inner = field.message_type
        if inner is not None and inner.file.package == "nervenet.v1" and depth and chance.random() < 0.7:
            value: Any = any_message(chance, inner, depth - 1) if not inner.GetOptions().map_entry else {"k": "v"}
        else:
            value = chance.choice(VALUES)
        found[field.json_name] = [value] if chance.random() < 0.2 else value
    return found


def body(chance: random.Random, descriptor: Any) -> bytes:
    text = json.dumps(any_message(chance, descriptor)).encode()
    if chance.random() < 0.2:
        at = chance.randrange(len(text))
        text = text[:at] + bytes((chance.randrange(256),)) + text[at + 1 :]
    return text


async def test_no_request_makes_an_inner_error(world: HttpWorld) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    http = await world.http()
    await call(http, f"{COORDINATOR}/StartWorkflow", {"workflowId": "a", "definition": "waits"})
    methods = [method for method in METHODS.values() if not method.streams_in and method.name != "DrainNode"]
    seen: set[int] = set()
    for _ in range(CALLS):
        method = chance.choice(methods)
        headers = {"connect-timeout-ms": "300"}
        if method.streams_out:
            content = envelope(body(chance, method.request.DESCRIPTOR))
            headers["content-type"] = "application/connect+json"
        elif chance.random() < 0.2:
            content = chance.randbytes(chance.randrange(40))
            headers["content-type"] = PROTO
        else:
            content = body(chance, method.request.DESCRIPTOR)
            headers["content-type"] = JSON
        answer = await http.post(method.path, content=content, headers=headers)
        seen.add(answer.status_code)
        told = (method.name, content, answer.content)
        assert answer.status_code not in (500, 502), told
        if method.streams_out and answer.status_code == 200:
            flags, last = envelopes(answer.content)[-1]
            assert flags == 2, told
            assert json.loads(last).get("error", {}).get("code") not in ("internal", "unknown"), told
    assert {200, 400, 404} <= seen
    assert (await call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "a"})).status_code == 200
