# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one test, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

NODE = "URI:spiffe://test/nervenet/node"
"""The name that the built-in policy gives the role node."""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Issued(NamedTuple):
    """The PEM files of somebody at 127.0.0.1: whom to trust, who one is, and the proof."""

    ca: Path
    cert: Path
    key: Path


class Authority:
    """`Authority(folder).issue("node")`: certificates that are good for servers and for clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._openssl("req", "-x509", *_KEY, "-subj", "/CN=ca", "-days", "1", "-keyout", "ca.key", "-out", "ca.pem")

    def issue(self, name: str, *, days: int = 1, san: str = f"IP:127.0.0.1,{NODE}", cn: str = "") -> Issued:
        """A certificate that is valid for these days; one with a negative number has expired. `san`: as openssl has it."""
        names = f"subjectAltName={san}\n" if san else ""
        (self.folder / "ext").write_text(f"{names}extendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("req", *_KEY, "-subj", f"/CN={cn or name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", str(days), "-extfile", "ext", "-out", f"{name}.pem")  # fmt: skip
        return Issued(self.folder / "ca.pem", self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)
