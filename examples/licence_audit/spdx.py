# SPDX-License-Identifier: Apache-2.0
"""Licence expressions and families: what ids mean, from the `license-expression` library and its index of licences."""

from __future__ import annotations

import functools
import re
from typing import Any

from license_expression import (  # type: ignore[import-untyped]  # no stubs upstream
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    get_license_index,
    get_spdx_licensing,
)

from .models import Verdict

_VERDICTS: dict[str, Verdict] = {
    "Permissive": "permissive",
    "Public Domain": "permissive",
    "Copyleft Limited": "weak copyleft",
    "Copyleft": "strong copyleft",
}
_ORDER: tuple[Verdict, ...] = ("permissive", "weak copyleft", "strong copyleft", "unknown")

FAMILIES: dict[str, frozenset[str]] = {
    name: frozenset(ids.split())
    for name, ids in {
        "academic free license (afl)": "AFL-3.0 AFL-2.1",
        "apache": "Apache-2.0",
        "apache license": "Apache-2.0",
        "apache license 2.0": "Apache-2.0",
        "apache license, version 2.0": "Apache-2.0",
        "apache software license": "Apache-2.0",
        "apache software license 2.0": "Apache-2.0",
        "artistic license": "Artistic-1.0 Artistic-2.0",
        "boost software license 1.0 (bsl-1.0)": "BSL-1.0",
        "bsd": "BSD-2-Clause BSD-3-Clause BSD-4-Clause 0BSD",
        "bsd license": "BSD-2-Clause BSD-3-Clause BSD-4-Clause 0BSD",
        "bsd 2-clause": "BSD-2-Clause",
        "bsd 2-clause license": "BSD-2-Clause",
        "bsd 3-clause": "BSD-3-Clause",
        "bsd 3-clause license": "BSD-3-Clause",
        "2-clause bsd license": "BSD-2-Clause",
        "3-clause bsd license": "BSD-3-Clause",
        "new bsd license": "BSD-3-Clause",
        "simplified bsd license": "BSD-2-Clause",
        "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
        "eclipse public license 2.0 (epl-2.0)": "EPL-2.0",
        "gnu affero general public license v3": "AGPL-3.0",
        "gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0",
        "gnu general public license (gpl)": "GPL-1.0 GPL-2.0 GPL-3.0",
        "gnu general public license v2 (gplv2)": "GPL-2.0",
        "gnu general public license v2 or later (gplv2+)": "GPL-2.0 GPL-3.0",
        "gnu general public license v3 (gplv3)": "GPL-3.0",
        "gnu general public license v3 or later (gplv3+)": "GPL-3.0",
        "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0 LGPL-2.1 LGPL-3.0",
        "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
        "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0",
        "gnu library or lesser general public license (lgpl)": "LGPL-2.0 LGPL-2.1 LGPL-3.0",
        "historical permission notice and disclaimer (hpnd)": "HPND",
        "isc license": "ISC",
        "isc license (iscl)": "ISC",
        "mit license": "MIT",
        "the mit license": "MIT",
        "the mit license (mit)": "MIT",
        "mit no attribution license (mit-0)": "MIT-0",
        "mozilla public license 1.1 (mpl 1.1)": "MPL-1.1",
        "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
        "mpl 2.0": "MPL-2.0",
        "psf": "PSF-2.0 Python-2.0 Python-2.0.1",
        "python software foundation license": "PSF-2.0 Python-2.0 Python-2.0.1",
        "the unlicense (unlicense)": "Unlicense",
        "universal permissive license (upl)": "UPL-1.0",
        "zero-clause bsd (0bsd)": "0BSD",
        "zlib/libpng license": "Zlib",
        "zope public license": "ZPL-2.0 ZPL-2.1",
    }.items()
}
"""What the wordings of classifiers and of the free `License` field leave open: each the ids that would satisfy it."""


def family(wording: str) -> frozenset[str]:
    """The ids that a classifier or a free wording can mean; empty when nobody can say."""
    known = FAMILIES.get(wording.removeprefix("OSI Approved :: ").strip().lower())
    return known or frozenset(ids(wording))


def normalised(expression: str) -> str:
    """The expression in SPDX's own spelling; empty when it is none."""
    tree = _parsed(expression)
    return "" if tree is None else str(tree)


def ids(expression: str) -> list[str]:
    """The licences that an expression names, in its order, each once, without exceptions (`WITH …`)."""
    tree = _parsed(expression)
    symbols = [] if tree is None else _licensing().license_symbols(tree, decompose=True)
    return list(dict.fromkeys(symbol.key for symbol in symbols if not symbol.is_exception))


def same_text(spdx: str) -> str:
    """Ids that differ only in what they permit of later versions share one licence text."""
    return re.sub(r"(-only|-or-later|\+)$", "", spdx)


def satisfied_by(spdx: str) -> frozenset[str]:
    """The ids whose texts contain that licence: Python's own licence begins with the one of the PSF."""
    return frozenset({spdx, "Python-2.0", "Python-2.0.1"} if spdx == "PSF-2.0" else {spdx})


def verdict(expression: str) -> Verdict:
    """The strictest of what AND joins, the mildest of what OR offers; unknown as soon as it depends on one that is."""
    tree = _parsed(expression)
    return "unknown" if tree is None else _ORDER[_weigh(tree)]


def _weigh(node: Any) -> int:
    if isinstance(node, LicenseWithExceptionSymbol):  # an exception is listed with what it makes of the licence
        return _ORDER.index(_verdicts().get(node.exception_symbol.key, "unknown"))
    if isinstance(node, LicenseSymbol):
        return _ORDER.index(_verdicts().get(node.key, "unknown"))
    parts = [_weigh(part) for part in node.args]
    return min(parts) if isinstance(node, _licensing().OR) else max(parts)


@functools.cache
def _licensing() -> Any:
    return get_spdx_licensing()  # reads its index again at every call


def _parsed(expression: str) -> Any:
    try:
        return _licensing().parse(expression, validate=True)
    except ExpressionError:
        return None


@functools.cache
def _verdicts() -> dict[str, Verdict]:
    return {
        spdx: _VERDICTS.get(licence["category"], "unknown")
        for licence in get_license_index()
        for spdx in (licence.get("spdx_license_key"), *licence.get("other_spdx_license_keys", ()))
        if spdx
    }
