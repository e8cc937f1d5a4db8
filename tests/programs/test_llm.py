# SPDX-License-Identifier: Apache-2.0
"""A model's words as they come: its agent is killed behind the second one, and watchers are told that the text begins again."""

from __future__ import annotations

import subprocess
import sys

from nervenet import Agent
from tests.programs.chat_server import SURE, THINKING, ChatServer, tokens
from tests.programs.world import PROGRAMS, WITHIN, agent, kill, two_nodes
from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until


async def test_llm_with_an_agent_killed_in_mid_sentence(host: ProcessMesh) -> None:
    question, think = "How many?", Agent.remote("think", list[dict[str, str]], dict[str, str])
    two_nodes(host, "llm")
    with ChatServer() as model:
        thinkers = {
            key: agent(host, "llm", key, OPENAI_BASE_URL=model.url, OPENAI_MODEL="m-1", OPENAI_API_KEY=key)
            for key in ("left", "right")
        }
        host.up(*thinkers.values())
        async with host.client() as client:
            run = await client.start("research", question, id="peaceful")
            assert await run.result(timeout=WITHIN) == SURE

            model.hold(after=2)
            ticket = follow_as_users_do(host, "ticket", question)
            run = client.handle("ticket")
            await until(lambda: len(model.asked) == 3, "the model is asked", WITHIN, host)
            parts = []
            async for part in run.partials(think, str):
                parts.append(part)
                if len(parts) == 2:
                    victim = thinkers.pop(model.asked[-1][0])
                    kill(victim)
            assert await run.result(timeout=WITHIN) == SURE

        (survivor,) = thinkers
        first, sure = tokens(THINKING), tokens(SURE)
        assert [part.value for part in parts] == [*first[:2], *first, *sure]
        assert [n for n, part in enumerate(parts) if part.restarted] == [2], "the text begins again, once"
        assert [part.attempt for part in parts] == [1] * 2 + [2] * len(first) + [1] * len(sure)
        assert model.asked[3:] == [(survivor, 1), (survivor, 2)]
        said, _ = ticket.communicate(timeout=WITHIN)
        assert said == "".join([*first[:2], "\n[again] ", *first, *sure])


def follow_as_users_do(host: ProcessMesh, ticket: str, question: str) -> subprocess.Popen[str]:
    command = [sys.executable, f"{PROGRAMS}/llm.py", ticket, question]
    return subprocess.Popen(
        command, cwd=ROOT, env=host.env | {"NERVENET_ADDRESS": host.addresses}, stdout=subprocess.PIPE, text=True
    )
