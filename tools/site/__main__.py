# SPDX-License-Identifier: Apache-2.0
"""`make docs`: the pages of docs/ as a site with an index and a search, in build/site.

    python tools/site [FOLDER]      writes the site to FOLDER (build/site)

`stage` copies the pages into a folder as Sphinx wants them, `conf.py` configures Sphinx. Every warning is an error, and
nothing in the result is fetched from another host: `outside` looks for that in each page that was written.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from outside import fetched
from stage import stage

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    site = Path(arguments[0]) if arguments else ROOT / "build/site"
    staged = site.with_name(f"{site.name}-pages")
    shutil.rmtree(staged, ignore_errors=True)
    pages = stage(ROOT, staged)
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(Path(__file__).parent), "-j", "auto", "-E"]
    built = subprocess.run([*command, "--quiet", "--fail-on-warning", staged, site], check=False)
    if built.returncode:
        print(f"The pages are {staged}/…; each was copied from the file of the same name in docs/.", file=sys.stderr)
        return built.returncode
    for page, address in fetched(site):
        print(f"{page}: a reader without a network would miss {address}", file=sys.stderr)
        return 1
    print(f"{len(pages)} pages: {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
