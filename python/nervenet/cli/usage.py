# SPDX-License-Identifier: Apache-2.0
"""argparse's messages about a wrong command line, in the words of the rest of the command line.

explained("argument --limit: expected one argument", actions)     # "--limit needs a value: N"
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence

Actions = Sequence[argparse.Action]


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers within these bounds, for `type=`."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = None
        if found is None or found < least or (most is not None and found > most):
            raise argparse.ArgumentTypeError(f"needs a whole number {bounds}, not {text!r}")
        return found

    return read


def explained(message: str, actions: Actions) -> str:
    """The message in plain words. A message that is not known stays as argparse has it."""
    for pattern, say in _MESSAGES:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            return say(match, actions)
    return message


def _missing(match: re.Match[str], _: Actions) -> str:
    return f"missing: {match[1]}"


def _unknown(match: re.Match[str], actions: Actions) -> str:
    words = match[1].split()
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not flags:
        return f"too many arguments: {' '.join(words)} (quote a value that contains spaces)"
    known = [flag for action in actions for flag in action.option_strings]
    close = difflib.get_close_matches(flags[0], known, n=1, cutoff=0.7)
    return f"there is no flag {flags[0]}" + (f"; did you mean {close[0]}?" if close else "")


def _choice(match: re.Match[str], actions: Actions) -> str:
    name, given = match[1], match[2]
    action = _action(name, actions)
    choices = [str(choice) for choice in action.choices or ()] if action is not None else []
    close = difflib.get_close_matches(given, choices, n=1)
    if name == "COMMAND":
        ending = f"did you mean {close[0]}?" if close else f"there are: {', '.join(choices)}"
        return f"there is no command {given}; {ending}"
    return f"{name} needs one of {', '.join(choices)}, not {given!r}" + (f"; did you mean {close[0]}?" if close else "")


def _no_value(match: re.Match[str], actions: Actions) -> str:
    action = _action(match[1], actions)
    what = ", ".join(map(str, action.choices)) if action is not None and action.choices else action and action.metavar
    return f"{match[1]} needs a value" + (f": {what}" if isinstance(what, str) else "")


def _both(match: re.Match[str], _: Actions) -> str:
    return f"give {match[2]} or {match[1]}, not both"


def _takes_none(match: re.Match[str], _: Actions) -> str:
    return f"{match[1]} takes no value"


def _other(match: re.Match[str], _: Actions) -> str:
    return f"{match[1]} {match[2]}"


_MESSAGES: tuple[tuple[str, Callable[[re.Match[str], Actions], str]], ...] = (
    (r"the following arguments are required: (.+)", _missing),
    (r"unrecognized arguments: (.+)", _unknown),
    (r"argument (\S+): invalid choice: ['\"]?(.*?)['\"]? \(choose from .*\)", _choice),
    (r"argument (\S+): expected (?:one|at least one|\d+) arguments?", _no_value),
    (r"argument (\S+): not allowed with argument (\S+)", _both),
    (r"argument (\S+): ignored explicit argument .*", _takes_none),
    (r"argument (\S+): (needs .*)", _other),
)


def _action(name: str, actions: Actions) -> argparse.Action | None:
    """The action that argparse names in a message: by its flags with slashes, or by its metavar or name."""
    flags = set(name.split("/"))
    for action in actions:
        if flags & set(action.option_strings) or name in (action.metavar, action.dest):
            return action
    return None
