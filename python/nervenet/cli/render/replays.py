# SPDX-License-Identifier: Apache-2.0
"""What `nervenet replay` found: the two columns of each disagreement, and one line for all."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from nervenet.cli.render.text import clean, plural


def disagreement(name: str, problem: str) -> Iterator[Text]:
    """The problem's lines, with the journal's name above them where they do not begin with it."""
    first, *rest = problem.splitlines()
    yield Text(f"✗ {clean(first if first.startswith(name) else f'{name}: {first}')}", style="red")
    for line in rest:
        words = line.lstrip(" ")
        yield Text(" " * (len(line) - len(words)) + clean(words))  # the columns stand below each other


def summary(app: str, held: int, bad: int, namespace: str, strangers: int) -> Text:
    """`namespace` where journals came from a mesh, `strangers` how many of its workflows are none of this app's."""
    others = f" {plural(strangers, 'workflow')} of other apps left out." if strangers else ""
    if not held:
        return Text(f"Namespace {namespace} has no open workflow of {app}.{others}")
    if bad:
        return Text(f"{bad} of {plural(held, 'journal')} would not continue with {app}.{others}", style="red")
    agree = "agrees" if held == 1 else "agree"
    return Text(f"✓ {plural(held, 'journal')} {agree} with {app}.{others}", style="green")
