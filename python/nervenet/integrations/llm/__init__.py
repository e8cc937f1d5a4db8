# SPDX-License-Identifier: Apache-2.0
"""A model as an agent: any endpoint that speaks OpenAI's Chat Completions API, with the official client library.

    from nervenet import Context, Mesh
    from nervenet.integrations.llm import ChatRequest, llm_agent

    mesh = Mesh("desk")
    llm = llm_agent(mesh, model="gpt-4o-mini")

    @mesh.workflow
    async def answer(ctx: Context, question: str) -> str:
        return (await ctx.call(llm, ChatRequest.ask(question))).text

It needs `pip install 'nervenet[llm]'` (openai 2.0 or newer, below 4) in agents. Nodes do not import the library.

Rejected: the Responses API, because only few endpoints beside OpenAI's have it; and the library's own retries, because
they end with the process and hold the slot while they wait.
"""

from nervenet.integrations.llm.agent import llm_agent
from nervenet.integrations.llm.errors import (
    ContextTooLong,
    InvalidAnswer,
    KeyRefused,
    LLMError,
    ModelNotFound,
    ModelUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
)
from nervenet.integrations.llm.messages import ChatReply, ChatRequest, Message, OutputSchema, Tool, ToolCall

__all__ = [
    "ChatReply",
    "ChatRequest",
    "ContextTooLong",
    "InvalidAnswer",
    "KeyRefused",
    "LLMError",
    "Message",
    "ModelNotFound",
    "ModelUnavailable",
    "OutputSchema",
    "QuotaExceeded",
    "RateLimited",
    "RequestRefused",
    "Tool",
    "ToolCall",
    "llm_agent",
]
