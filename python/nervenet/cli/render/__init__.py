# SPDX-License-Identifier: Apache-2.0
"""Contract messages → text: pure functions that give lines, and the screen that prints them.

The only part of the CLI that knows the generated messages and rich.
"""
