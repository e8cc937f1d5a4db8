# SPDX-License-Identifier: Apache-2.0
"""What was found against what the metadata declares, and the name of every difference.

License-Expression is exact and stands alone. Without it the free License field and the classifiers speak together, each
more or less vague ("BSD License" leaves open which).
"""

from __future__ import annotations

from . import spdx
from .models import Declared, Validation

Meant = list[tuple[str, frozenset[str]]]
"""Each declared wording with the ids that would satisfy it."""


def validate(declared: Declared, found: str) -> Validation:
    said, source, meant = _declaration(declared)
    problems = _problems(meant, {spdx.same_text(one): one for one in spdx.ids(found)}) if said else []
    if not said:
        problems = ["the metadata declares no licence"]
    elif not all(options for _, options in meant):
        problems = [f"{source} says {said!r}, which names no known licence"]
    return Validation(
        declared=said,
        source=source,
        agrees=not problems,
        judged=said if declared.expression else found,
        mismatch="; ".join(problems),
    )


def _declaration(declared: Declared) -> tuple[str, str, Meant]:
    if declared.expression:
        said = spdx.normalised(declared.expression) or declared.expression
        return (
            said,
            "License-Expression",
            [(one, spdx.satisfied_by(one)) for one in spdx.ids(said)] or [(said, frozenset())],
        )
    wordings = [wording for wording in (declared.licence, *declared.classifiers) if wording]
    meant = [(_plain(wording), options) for wording in wordings if (options := spdx.family(wording))]
    source = "License" if declared.licence else "Classifier" if wordings else "nowhere"
    if meant:
        return _narrowed(meant), source, meant
    said = ", ".join(map(_plain, wordings))
    return said, source, [(said, frozenset())]


def _narrowed(meant: Meant) -> str:
    """Every exact id; a vague wording only if no id is more exact."""
    exact = sorted({one for _, options in meant if len(options) == 1 for one in options})
    vague = [wording for wording, options in meant if not options & set(exact)]
    return " AND ".join([*exact, *dict.fromkeys(vague)])


def _shortest(wording: str, options: frozenset[str]) -> str:
    """The id where only one is meant, else the wording itself."""
    return next(iter(options)) if len(options) == 1 else wording


def _plain(classifier: str) -> str:
    return classifier.removeprefix("OSI Approved :: ")


def _problems(meant: Meant, found: dict[str, str]) -> list[str]:
    if not found:
        return ["no shipped text was recognised as a licence"]
    allowed = {spdx.same_text(one) for _, options in meant for one in options}
    missing = dict.fromkeys(
        _shortest(wording, options)
        for wording, options in meant
        if not {spdx.same_text(one) for one in options} & found.keys()
    )
    extra = [one for text, one in sorted(found.items()) if text not in allowed]
    problems = []
    if missing:
        problems.append(f"declared {', '.join(missing)}, but no such text is shipped")
    if extra:
        problems.append(f"the files contain {', '.join(extra)}, which the metadata does not declare")
    return problems
