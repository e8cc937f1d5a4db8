# SPDX-License-Identifier: Apache-2.0
"""Frameworks on nervenet: each subpackage needs the extra of its name, and nothing here is imported unless used.

    pip install 'nervenet[langgraph]'     nervenet.integrations.langgraph
    pip install 'nervenet[crewai]'        nervenet.integrations.crewai
    pip install 'nervenet[pydantic-ai]'   nervenet.integrations.pydantic_ai
    pip install 'nervenet[llm]'           nervenet.integrations.llm

What they share: `refusals` (what is refused, supported versions), `capability_names`, and `link_thread`, a link to Redis that
any thread may use. They stand on the public API alone, except for `link_thread`: the docstring of `langgraph.saver` says why.
"""
