# SPDX-License-Identifier: Apache-2.0
"""Frameworks on nervenet: each subpackage needs the extra of its name, and nothing here is imported unless used.

    pip install 'nervenet[langgraph]'     nervenet.integrations.langgraph
    pip install 'nervenet[crewai]'        nervenet.integrations.crewai
    pip install 'nervenet[pydantic-ai]'   nervenet.integrations.pydantic_ai
    pip install 'nervenet[llm]'           nervenet.integrations.llm

They stand on the public API alone, except that `langgraph.saver` and `crewai.persistence` use the Redis client of the package (their
docstrings have the reasons).
"""
