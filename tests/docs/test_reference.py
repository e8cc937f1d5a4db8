# SPDX-License-Identifier: Apache-2.0
"""The reference is made by tools/reference: what is committed is what the package says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import ROOT, clean_environment


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="argparse wraps its help differently from version to version"
)
def test_the_reference_is_fresh(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools/reference"), str(tmp_path)], env=clean_environment(), check=True)
    for page in sorted(tmp_path.iterdir()):
        committed = (ROOT / "docs/reference" / page.name).read_text(encoding="utf-8")
        assert page.read_text(encoding="utf-8") == committed, "run make generate and commit the result"
