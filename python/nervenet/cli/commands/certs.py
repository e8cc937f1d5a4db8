# SPDX-License-Identifier: Apache-2.0
"""`nervenet certs dev`: an authority and certificates for a trial, and the environment that uses them.

Nothing is overwritten without --force; with it the certificates are issued again by the same authority, and processes that
run read them again. Keys can be read by their owner only.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nervenet.cli.context import screen
from nervenet.cli.failures import ExitCode, UsageError
from nervenet.security.issue import DevAuthority, spiffe_id

ROLES: Final = ("node", "agent", "client", "operator", "viewer")
SERVERS: Final = ("redis", "etcd")
HERE: Final = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS: Final = 3650


def run_dev(args: argparse.Namespace) -> int:
    folder = Path(args.dir)
    files = _made(folder, args)
    if not args.force and (there := sorted(name for name in files if (folder / name).exists())):
        raise UsageError(f"{folder} has {there[0]}: --force replaces it", "nervenet certs dev DIR --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write(folder / name, content)
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    out = screen(args)
    out.verbatim("\n".join(_environment(folder.resolve())))
    out.note(f"{len(files)} files in {folder}, valid for {args.days} days")
    return ExitCode.DONE


def _made(folder: Path, args: argparse.Namespace) -> Mapping[str, bytes]:
    """What to write, by the file's name. A certificate comes after its key: both are new once it is there."""
    there = (folder / "ca.pem", folder / "ca.key")
    old = there[0].read_bytes() if there[0].exists() else b""
    keep = args.force and not args.new_ca and all(one.exists() for one in there)
    if keep:
        authority, trusted = DevAuthority.load(old, there[1].read_bytes()), old
    else:
        authority = DevAuthority.create(days=AUTHORITY_DAYS)
        trusted = authority.pem + (old if args.new_ca else b"")
    files = {"ca.key": authority.key_pem, "ca.pem": trusted}
    hosts = list(dict.fromkeys([*HERE, *args.host]))
    for name in (*ROLES, *SERVERS):
        uri = spiffe_id(name) if name in ROLES else ""
        issued = authority.issue(name, hosts=[*hosts, name], days=args.days, uri=uri)
        files |= {f"{name}.key": issued.key, f"{name}.pem": issued.certificate}
    return files


def _write(path: Path, content: bytes) -> None:
    """Whole, or not at all: a process may read it at any time."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    mode = 0o600 if path.suffix == ".key" else 0o644
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    beside.replace(path)


def _environment(folder: Path) -> list[str]:
    """How to use them, as lines for a shell."""
    lines = []
    for role in ("node", "agent", "client"):
        lines += [
            f"# {'an' if role == 'agent' else 'a'} {role}",
            f"export NERVENET_TLS={folder}/ca.pem",
            f"export NERVENET_TLS_CERT={folder}/{role}.pem",
            f"export NERVENET_TLS_KEY={folder}/{role}.key",
        ]
        if role != "client":
            files = f"ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/{role}.pem&ssl_keyfile={folder}/{role}.key"
            lines.append(f"export NERVENET_REDIS='rediss://127.0.0.1:6380?{files}'")
        if role == "node":
            files = f"cacert={folder}/ca.pem&cert={folder}/{role}.pem&key={folder}/{role}.key"
            lines.append(f"export NERVENET_ETCD='https://127.0.0.1:2379?{files}'")
        lines.append("")
    lines += [
        "# the servers",
        f"valkey-server --port 0 --tls-port 6380 --tls-cert-file {folder}/redis.pem --tls-key-file {folder}/redis.key "
        f"--tls-ca-cert-file {folder}/ca.pem",
        f"etcd --listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379 "
        f"--cert-file {folder}/etcd.pem --key-file {folder}/etcd.key --trusted-ca-file {folder}/ca.pem --client-cert-auth",
    ]
    return lines
