# SPDX-License-Identifier: Apache-2.0
"""The audit's plain functions, on the texts that this very environment ships."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PathDistribution
from pathlib import Path, PurePosixPath

import pytest

from examples.licence_audit import documents, spdx
from examples.licence_audit.classify import LIKELY, classify, match
from examples.licence_audit.documents import installed, kind_of, read
from examples.licence_audit.extract import extract, holders
from examples.licence_audit.models import Clause, Declared, Distribution, Facts, LicenceFile, SummaryInput
from examples.licence_audit.summarize import summarize
from examples.licence_audit.validate import validate


@cache
def here() -> dict[str, Distribution]:
    """Each distribution of this environment; read once, by the first test that asks."""
    return {distribution.name: distribution for distribution in installed()}


def text_of(name: str) -> str:
    return here()[name].files[0].text


def shipping(*texts: str) -> Distribution:
    return Distribution(name="x", files=[LicenceFile(path=f"LICENSE.{n}", text=text) for n, text in enumerate(texts)])


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_distribution_is_found_once_and_always_in_the_same_order() -> None:
    assert list(here().values()) == installed()
    names = [documents.canonical(name) for name in here()]
    assert names == sorted(set(names)) and {"pytest", "pydantic"} <= set(names)
    assert here()["pytest"].files and here()["pytest"].version


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("x.dist-info/licenses/LICENSE", "licence"),
        ("x.dist-info/COPYING.LESSER", "licence"),
        ("x/_vendor/LICENSE-MIT.txt", "licence"),
        ("x.dist-info/apache-2.0.LICENSE", "licence"),
        ("x.dist-info/AUTHORS", "notice"),
        ("x.dist-info/NOTICE", "notice"),
        ("x.dist-info/licenses/CHANGELOG.rst", "enclosed"),
        ("x/license.py", None),
        ("x/main.txt", None),
    ],
)
def test_a_file_is_known_by_its_name_and_place(path: str, kind: str | None) -> None:
    assert kind_of(PurePosixPath(path)) == kind


def test_texts_beyond_a_payload_are_cut_and_counted(tmp_path: Path) -> None:
    info = tmp_path / "big-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: big\nVersion: 1.0\nLicense-Expression: MIT\n")
    names = [f"LICENSE.{n}" for n in range(6)]
    for n, name in enumerate(names):
        (info / "licenses" / name).write_text(str(n) * (documents.TEXT_LIMIT + 10))
    (info / "RECORD").write_text("".join(f"big-1.0.dist-info/licenses/{name},,\n" for name in [*names, "LICENSE.gone"]))
    found = read(PathDistribution(info))
    assert sum(len(file.text) for file in found.files) == documents.TOTAL_LIMIT
    assert all(file.truncated and file.size == documents.TEXT_LIMIT + 10 for file in found.files)
    assert found.omitted == 2 and found.declared.expression == "MIT"


# ── classify ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_well_known_text_is_recognised() -> None:
    found = classify(here()["click"])
    assert found.found == "BSD-3-Clause" and found.confidence > 0.95 and found.method == "rules"


def test_a_file_that_holds_two_licences_is_taken_apart_at_its_ruler() -> None:
    found = classify(shipping(text_of("click") + "\n\n-------\n\nBundled:\n\n" + text_of("pytest")))
    assert found.found == "BSD-3-Clause AND MIT" and found.confidence > 0.9


def test_a_short_file_only_points_to_a_licence() -> None:
    found = classify(shipping("This software comes under the terms of LICENSE.MIT.", text_of("pytest")))
    assert found.found == "MIT" and found.files[0].found == [] and found.confidence > 0.95


def test_a_text_that_is_no_licence_leaves_the_audit_unsure() -> None:
    assert classify(shipping("Once upon a time there was a jellyfish without a brain. " * 20)).confidence < LIKELY
    assert classify(Distribution(name="bare")).confidence == 0.0


def test_what_merely_lies_among_the_licences_does_not_count() -> None:
    story = LicenceFile(path="licenses/CHANGELOG", text="Version 1.2 mended the leap year bug. " * 30, kind="enclosed")
    licence = LicenceFile(path="licenses/LICENSE", text=text_of("pytest"))
    assert classify(Distribution(name="x", files=[story, licence])).found == "MIT"


def test_an_apache_licence_without_its_appendix_is_one() -> None:
    """Its text alone resembles Pixar's variant more: requests and packaging ship it so."""
    terms, _, _ = text_of("buf-bin").partition("   END OF TERMS AND CONDITIONS")
    assert classify(shipping(terms)).found == "Apache-2.0"
    assert classify(shipping(terms + "   END OF TERMS AND CONDITIONS")).found == "Apache-2.0"


def test_pixars_variant_is_still_told_from_it() -> None:
    terms, _, _ = text_of("buf-bin").partition("   END OF TERMS AND CONDITIONS")
    modified = terms.replace("Apache License\n", "Modified Apache 2.0 License\n")
    modified = re.sub(
        r"trademarks, service marks,\s+or product names of the Licensor,.*?NOTICE file\.",
        "trademarks, service marks, or product names of the Licensor and its affiliates, except as required to comply with "
        "Section 4(c) of the License and to reproduce the content of the NOTICE file.",
        modified,
        flags=re.DOTALL,
    )
    assert classify(shipping(modified)).found == "Pixar"


@pytest.mark.parametrize(
    ("name", "found", "agrees"),
    [
        ("requests", "Apache-2.0", True),
        ("packaging", "Apache-2.0 AND BSD-2-Clause", True),
        ("argcomplete", "Apache-2.0", True),
        ("proselint", "BSD-3-Clause", True),  # the text is in the metadata alone
        ("certifi", "MPL-2.0", True),
        ("pathspec", "MPL-2.0", True),
        ("prometheus_client", "Apache-2.0", False),
        *(
            pytest.param(*read, marks=pytest.mark.long)  # seconds of comparing, each
            for read in (
                # its own, typeshed's, two of its parts
                ("mypy", "Apache-2.0 AND BSD-2-Clause AND MIT AND Python-2.0.1", False),
                # PSF-2.0 is in Python's; 0BSD is not declared
                ("typing_extensions", "0BSD AND Python-2.0.1", False),
                ("grpcio", "Apache-2.0 AND BSD-3-Clause AND MPL-2.0", False),
                ("basedpyright", "Apache-2.0 AND MIT", False),
            )
        ),
    ],
)
def test_distributions_that_somebody_read(name: str, found: str, agrees: bool) -> None:
    """Checked by eye, against the texts that they ship."""
    distribution = here()[name]
    classified = classify(distribution)
    assert classified.found == found
    assert validate(distribution.declared, found).agrees is agrees


@pytest.mark.long
def test_no_apache_licence_here_is_taken_for_a_variant_of_it() -> None:
    """With the appendix and without it: texts that begin as the Apache licence does are one."""
    files = [file for distribution in here().values() for file in distribution.files if file.kind == "licence"]
    apache = [file for file in files if "Apache License" in file.text[:100] and len(file.text) < 12_000]
    assert len(apache) > 10
    assert {tuple(match(file).found) for file in apache} == {("Apache-2.0",)}


# ── extract ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "name", "years"),
    [
        ("Copyright (c) 2004 Holger Krekel and others", "Holger Krekel and others", "2004"),
        ("Copyright (c) 2017 - present Kim Davies.", "Kim Davies", "2017–present"),
        ("   Copyright © 2006-2009 Johann C. Rocholl <johann@rocholl.net>", "Johann C. Rocholl", "2006–2009"),
        ("Copyright 2014 Google Inc.  All rights reserved.", "Google Inc.", "2014"),
        ("Copyright (c) Pydantic Services Inc. 2025 to present", "Pydantic Services Inc.", "2025–present"),
        ("# Copyright (c) 2001, 2003, 2019 by Ada Lovelace", "Ada Lovelace", "2001–2019"),
        ("Copyright (c) nexB Inc. and others", "nexB Inc. and others", ""),
    ],
)
def test_a_copyright_line_names_its_holder(line: str, name: str, years: str) -> None:
    assert [(holder.name, holder.years) for holder in holders([line])] == [(name, years)]


@pytest.mark.parametrize(
    "line",
    [
        "Copyright [yyyy] [name of copyright owner]",
        '"Copyright" also means copyright-like laws that apply to other kinds of works.',
        "copyright notice, this list of conditions and the following disclaimer.",
        "Copyright (c) <year> <owner>",
    ],
)
def test_a_licence_that_speaks_of_copyright_names_nobody(line: str) -> None:
    assert holders([line]) == []


def test_years_of_one_holder_are_gathered_over_all_files() -> None:
    assert [h.years for h in holders(["Copyright 2010 Ada", "Copyright (c) 2015-2020 Ada"])] == ["2010–2020"]


def test_each_clause_carries_the_sentence_it_was_found_in() -> None:
    facts = extract(here()["buf-bin"])
    assert {"use", "modification", "use of patents"} <= {clause.label for clause in facts.permits}
    assert "keeping the NOTICE file" in {clause.label for clause in facts.requires}
    assert "using trademarks" in {clause.label for clause in facts.forbids}
    assert facts.patents and facts.notices and all(len(c.quote) < 240 for c in facts.permits)
    trademarks = next(clause for clause in facts.forbids if clause.label == "using trademarks")
    assert "does not grant permission to use the trade names" in trademarks.quote


# ── validate ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (Declared(expression="MIT"), "MIT"),
        (Declared(expression="apache-2.0 or bsd-2-clause"), "Apache-2.0 AND BSD-2-Clause"),
        (Declared(expression="GPL-3.0-or-later"), "GPL-3.0-only"),
        (Declared(licence="Apache License 2.0"), "Apache-2.0"),
        (Declared(licence="BSD"), "BSD-3-Clause"),
        (Declared(classifiers=["OSI Approved :: BSD License"]), "BSD-2-Clause"),
        (
            Declared(licence="MIT License", classifiers=["OSI Approved :: Apache Software License"]),
            "Apache-2.0 AND MIT",
        ),
        (Declared(classifiers=["OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"]), "LGPL-3.0-only"),
    ],
)
def test_a_declaration_agrees_with_what_satisfies_it(declared: Declared, found: str) -> None:
    assert validate(declared, found).mismatch == ""


@pytest.mark.parametrize(
    ("declared", "found", "mismatch"),
    [
        (
            Declared(expression="MIT"),
            "Apache-2.0",
            "declared MIT, but no such text is shipped; "
            "the files contain Apache-2.0, which the metadata does not declare",
        ),
        (
            Declared(expression="MIT"),
            "BSD-3-Clause AND MIT",
            "the files contain BSD-3-Clause, which the metadata does not declare",
        ),
        (Declared(), "MIT", "the metadata declares no licence"),
        (Declared(expression="MIT"), "", "no shipped text was recognised as a licence"),
        (Declared(licence="Beerware-ish"), "MIT", "License says 'Beerware-ish', which names no known licence"),
    ],
)
def test_every_difference_has_a_name(declared: Declared, found: str, mismatch: str) -> None:
    result = validate(declared, found)
    assert not result.agrees and result.mismatch == mismatch


def test_a_declared_expression_says_how_its_licences_are_joined() -> None:
    """Files alone cannot say whether one of two texts may be chosen."""
    either = validate(Declared(expression="GPL-3.0-only OR MIT"), "GPL-3.0-only AND MIT")
    assert either.agrees and spdx.verdict(either.judged) == "permissive"
    assert validate(Declared(licence="BSD"), "BSD-3-Clause").judged == "BSD-3-Clause"


def test_the_licence_of_the_psf_is_part_of_pythons() -> None:
    assert validate(Declared(expression="PSF-2.0"), "Python-2.0.1").agrees
    assert not validate(Declared(expression="Python-2.0.1"), "PSF-2.0").agrees


def test_the_declaration_is_told_as_exactly_as_it_was_made() -> None:
    assert validate(Declared(classifiers=["OSI Approved :: BSD License"]), "MIT").declared == "BSD License"
    vague_and_exact = Declared(licence="BSD 2-Clause License", classifiers=["OSI Approved :: BSD License"])
    assert validate(vague_and_exact, "BSD-2-Clause").declared == "BSD-2-Clause"


# ── verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("MIT", "permissive"),
        ("Unlicense", "permissive"),
        ("MPL-2.0", "weak copyleft"),
        ("AGPL-3.0-only", "strong copyleft"),
        ("MIT AND MPL-2.0", "weak copyleft"),
        ("GPL-2.0-only OR MIT", "permissive"),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", "permissive"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "weak copyleft"),
        ("", "unknown"),
        ("my own words", "unknown"),
    ],
)
def test_and_takes_the_strictest_and_or_the_mildest(expression: str, verdict: str) -> None:
    assert spdx.verdict(expression) == verdict


def test_the_paragraph_says_what_was_found_and_who_decided() -> None:
    facts = Facts(permits=[Clause(label="use", quote="…"), Clause(label="selling", quote="…")])
    audit = SummaryInput(
        name="x",
        version="1",
        licence="MPL-2.0",
        classification=classify(Distribution(name="x")),
        validation=validate(Declared(), ""),
        facts=facts,
        decision="ana decided: trust the files.",
    )
    summary = summarize(audit)
    assert summary.verdict == "weak copyleft" and summary.method == "rules"
    assert summary.text == (
        "x 1 comes under MPL-2.0, a weak copyleft licence: changes to its own files stay under it. "
        "No copyright holder is named. It permits use and selling. ana decided: trust the files."
    )
