# SPDX-License-Identifier: Apache-2.0
"""Copy the pages into a folder from which Sphinx can make a site.

docs/ is written for people who read it as Markdown, in an editor or on a code host: its links go anywhere in the repository,
and its index is a page with lists of links. So a copy is made in which

- each page of docs/ keeps its path, and the sections of docs/index.md become the navigation,
- Markdown outside of docs/ that some page links to is a page below project/,
- any other file that some page links to is shown as code below source/, a folder as a list of its files.

Line numbers stay what they are, so that a warning names the line of the file in docs/.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".proto": "proto", ".sh": "bash", ".toml": "toml"}
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#\s]+)\)", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


class Stage:
    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.pages: dict[Path, PurePosixPath] = {}
        """Each file or folder of the repository that is a page, and where."""
        self._waiting: list[Path] = []

    def run(self) -> list[PurePosixPath]:
        docs = self.root / "docs"
        for page in sorted(docs.rglob("*.md")):
            self._place(page)
        while self._waiting:
            path = self._waiting.pop()
            target = self.folder / self.pages[path]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self._text(path), encoding="utf-8")
        for picture in docs.rglob("*"):
            if picture.suffix in (".svg", ".png"):
                copy = self.folder / picture.relative_to(docs)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, copy)
        return sorted(self.pages.values())

    def _place(self, path: Path) -> PurePosixPath:
        """Where that file or folder is in the site. It becomes a page if it is none yet."""
        if path not in self.pages:
            name = PurePosixPath(path.relative_to(self.root))
            if path.is_dir():
                place = (
                    name.relative_to("docs") / "index.md" if name.parts[0] == "docs" else "source" / name / "index.md"
                )
            elif path.suffix != ".md":
                place = PurePosixPath("source", f"{name}.md")
            else:
                place = name.relative_to("docs") if name.parts[0] == "docs" else "project" / name
            self.pages[path] = place
            self._waiting.append(path)
        return self.pages[path]

    def _text(self, path: Path) -> str:
        if path.is_dir():
            return self._listed(path)
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".md":
            return _as_code(path.relative_to(self.root), text)
        text = self._relinked(path, text)
        if path == self.root / "docs/index.md":
            return text + self._navigation(path)
        return text if path.is_relative_to(self.root / "docs") else _without_navigation(text)

    def _relinked(self, page: Path, text: str) -> str:
        """The text with links that are right in the site. Code keeps what it has."""
        here = self.pages[page].parent

        def link(match: re.Match[str]) -> str:
            target = (page.parent / match[1]).resolve()
            if not target.exists() or target.suffix in (".svg", ".png"):
                return match[0]  # Sphinx reports it
            return os.path.relpath(self._place(target), here) + (match[2] or "")

        parts, end = [], 0
        for fence in _FENCE.finditer(text):
            parts += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
            end = fence.end()
        return "".join([*parts, _LINK.sub(link, text[end:])])

    def _navigation(self, index: Path) -> str:
        """What the lists of the index say, in Sphinx's words. A page that is in no list is refused by Sphinx."""
        parts = _SECTION.split(index.read_text(encoding="utf-8"))
        trees = []
        for caption, text in zip(parts[1::2], parts[2::2], strict=True):
            entries = [(title, (index.parent / target).resolve()) for title, target in _ENTRY.findall(text)]
            if lines := [f"{title} </{self._place(target).with_suffix('')}>" for title, target in entries]:
                trees.append(_toctree(lines, caption))
        return "".join(trees)

    def _listed(self, folder: Path) -> str:
        """A folder of docs/ lists its pages by their titles, another one its files."""
        name = folder.relative_to(self.root)
        if name.parts[0] == "docs":
            pages = sorted(folder.glob("*.md"))
            titles = [(_title(page), page.name) for page in pages]
            lines = [f"- [{title}]({file})" for title, file in titles]
            tree = _toctree([PurePosixPath(file).stem for _, file in titles])
            return f"# {name.name.capitalize()}\n\n" + "\n".join(lines) + "\n" + tree
        lines = []
        here = self.pages[folder].parent
        for file in sorted(folder.rglob("*")):
            if file.suffix in LANGUAGES and "__pycache__" not in file.parts:
                lines.append(f"- [{file.relative_to(folder)}]({os.path.relpath(self._place(file), here)})")
        return _without_navigation(f"# {name}\n\n" + "\n".join(lines) + "\n")


def stage(root: Path, folder: Path) -> list[PurePosixPath]:
    return Stage(root, folder).run()


def _title(page: Path) -> str:
    title = _TITLE.search(page.read_text(encoding="utf-8"))
    return title[1] if title else page.stem


def _toctree(lines: list[str], caption: str = "") -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["\n```{toctree}", *options, "", *lines, "```\n"])


def _without_navigation(text: str) -> str:
    """A page that is reached by links alone."""
    return f"---\norphan: true\n---\n{text}"


def _as_code(name: Path, text: str) -> str:
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall(r"`{3,}", text)), default=0))
    return _without_navigation(f"# {name}\n\n{fence}{LANGUAGES.get(name.suffix, 'text')}\n{text.rstrip()}\n{fence}\n")
