# SPDX-License-Identifier: Apache-2.0
"""What README and docs show is run: their Python, their commands in the order of the page, and their links."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    "tests.docs.tutorial", "tests.docs.pages", "tests.docs.grpcurl", "tests.docs.tracing", "tests.docs.certificates"
)

from tests.docs import certificates, grpcurl, pages, tracing, tutorial  # noqa: E402  rewritten first
from tests.docs.blocks import PAGES, blocks, program_of, save  # noqa: E402
from tests.support.environment import ROOT, clean_environment  # noqa: E402

Story = Callable[[Path], None]


def run_python(page: Path, folder: Path) -> None:
    """The blocks of a page are one program, each going on where the one before it ended."""
    save(blocks(page), folder)
    program = folder / "page.py"
    program.write_text(program_of(page), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(program)], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr


# The longest first.
STORIES: dict[str, Story] = {
    "tutorial": tutorial.tell,
    "errors": pages.errors,
    "deploy-story": pages.deploy_story,
    "cli": pages.command_line,
    "declared": pages.declared,
    "http": pages.http,
    "archive": pages.archive,
    "security": pages.security,
    "grpcurl": grpcurl.tell,
    "certificates": certificates.tell,
    "tracing": tracing.tell,
    "fastapi": pages.fastapi,
    "readme": pages.readme,
    # Pages on frameworks are run by tests/frameworks, where the frameworks are installed.
    **{
        f"python of {page.name}": partial(run_python, page)
        for page in PAGES
        if program_of(page) and "nervenet.integrations" not in program_of(page)
    },
}


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """All that were asked for, side by side: each has processes of its own, and most of its time it waits for them."""
    asked = {item.callspec.params.get("story") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(3) as pool:
        running = {
            name: pool.submit(tell, tmp_path_factory.mktemp("story")) for name, tell in STORIES.items() if name in asked
        }
        yield running
        for story in running.values():
            story.cancel()  # when a run ends early


@pytest.mark.timeout(300)  # the first one asked waits for a place beside the others
@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
@pytest.mark.parametrize("story", STORIES)
def test_a_page_does_what_it_says(story: str, stories: dict[str, Future[None]]) -> None:
    stories[story].result()


def test_each_command_of_each_page_is_run() -> None:
    """But for those of docs/kubernetes.md, which need a cluster: `make kubernetes` and tests/kubernetes check what they use."""
    told = {
        ROOT / "docs" / "kubernetes.md",
        tutorial.PAGE,
        pages.ERRORS,
        pages.DEPLOY,
        pages.CLI,
        pages.README,
        pages.DECLARED,
        pages.HTTP,
        pages.ARCHIVE,
        pages.SECURITY,
        grpcurl.PAGE,
        tracing.PAGE,
        certificates.PAGE,
    }
    assert {page for page in PAGES if blocks(page, "console")} == told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http://", "https://"))]
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, link


@pytest.mark.parametrize("number", range(3))
def test_the_programs_of_others_are_python(number: int) -> None:
    """They are shown beside ours and not run: their systems are not here."""
    page = ROOT / "docs/coming-from.md"
    others = blocks(page, "py")
    assert len(others) == 3
    compile(others[number].text, f"{page}:{others[number].line}", "exec")


def test_the_example_is_the_file_that_is_shipped() -> None:
    shipped = (ROOT / "examples/hello.py").read_text(encoding="utf-8").partition("\n")
    assert shipped[0].startswith("# SPDX") and shipped[2].strip() == blocks(pages.README, "python")[0].text.strip()
