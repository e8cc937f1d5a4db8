# SPDX-License-Identifier: Apache-2.0
"""The summary's prose by a language model, where an OpenAI-compatible endpoint is configured.

OPENAI_BASE_URL and OPENAI_MODEL switch it on (OPENAI_API_KEY where the endpoint wants one); a key alone does not, since
nobody who merely has one in the environment has asked to spend money here. The verdict stays with the rules: a model may
write the paragraph, but it does not decide what a licence is.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from nervenet import AgentError

TIMEOUT = 60.0
PROMPT = (
    "You write for engineers who decide about a dependency. From the JSON findings of a licence audit write ONE plain "
    "paragraph of at most 90 words: which licence, who holds the copyright, what it permits, requires and rules out, and "
    "the mismatch if there is one. Use only the findings. No markdown, no advice, no preamble."
)


class Endpoint(NamedTuple):
    url: str
    model: str
    key: str = ""


class Reply(NamedTuple):
    text: str
    input_tokens: int
    output_tokens: int


def configured(env: Mapping[str, str] = os.environ) -> Endpoint | None:
    url, model = env.get("OPENAI_BASE_URL", "").rstrip("/"), env.get("OPENAI_MODEL", "")
    return Endpoint(url, model, env.get("OPENAI_API_KEY", "")) if url and model else None


def write(endpoint: Endpoint, findings: str) -> Reply:
    """One chat completion. Raises AgentError; a refusal for good is not retryable, an overload says when to come back."""
    body = {
        "model": endpoint.model,
        "temperature": 0,
        "messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": findings}],
    }
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    request = urllib.request.Request(f"{endpoint.url}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return _reply(json.load(answer))
    except urllib.error.HTTPError as error:
        raise _refused(error) from error
    except (OSError, ValueError) as error:
        raise AgentError(f"{endpoint.url}: {error}", type="LlmUnreachable") from error


def _reply(answer: object) -> Reply:
    match answer:
        case {"choices": [{"message": {"content": str(text)}}, *_]} if text.strip():
            return Reply(" ".join(text.split()), *_usage(answer))
    raise AgentError("the endpoint answered without a text", type="LlmAnswer")


def _usage(answer: object) -> tuple[int, int]:
    match answer:
        case {"usage": {"prompt_tokens": int(read), "completion_tokens": int(written)}}:
            return read, written
    return 0, 0  # not every stand-in counts


def _refused(error: urllib.error.HTTPError) -> AgentError:
    said = error.read(500).decode(errors="replace")
    wait = error.headers.get("Retry-After", "")
    return AgentError(
        f"HTTP {error.code}: {said}",
        type="LlmOverloaded" if error.code == 429 else "LlmRefused",
        retryable=error.code == 429 or error.code >= 500,
        retry_after=timedelta(seconds=int(wait)) if wait.isdigit() else None,
    )
