# SPDX-License-Identifier: Apache-2.0
"""A real MCP server on stdio, with one tool. It writes down each call and the process that made it."""

from __future__ import annotations

from typing import Any

from tests.support.story import record


def served() -> Any:
    """The server, with whichever class this version of the MCP library has for it."""
    try:
        from mcp.server.mcpserver import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import FastMCP as Server
    server = Server("shelf", instructions="The shelf has rules.")

    @server.tool()
    def read_rule(topic: str) -> str:
        """Read the rule about a topic."""
        record("mcp", topic)
        return f"{topic}: pay after a person has agreed"

    return server


if __name__ == "__main__":
    served().run()
