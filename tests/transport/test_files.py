# SPDX-License-Identifier: Apache-2.0
"""Files that change while a process reads them, in the ways in which people and platforms change them."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as form

from nervenet.clock import Clock
from nervenet.errors import ConfigError
from nervenet.security.pem import PemFiles, PemWatch
from nervenet.timing import CERTIFICATE_WARN_EVERY, FILE_LOOK_EVERY
from tests.support.environment import clean_environment, nervenet
from tests.transport.parties import Authorities, Party, replace, serial_of


class StandingClock(Clock):
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.began_ms = Clock().now_ms()

    def monotonic(self) -> float:
        return self.at

    def now_ms(self) -> int:
        return self.began_ms + round((self.at - 1_000.0) * 1000)

    def later(self, seconds: float = FILE_LOOK_EVERY) -> None:
        self.at += seconds


def files_of(party: Party) -> PemFiles:
    return PemFiles(str(party.ca), str(party.cert), str(party.key))


def shown(watch: PemWatch) -> int:
    assert watch.pem.certificate is not None
    return serial_of(watch.pem.certificate)


def test_a_new_pair_is_seen_at_the_next_look_and_not_before(ours: Authorities) -> None:
    party, clock = ours.party("node"), StandingClock()
    watch = PemWatch(files_of(party), clock)
    before, after = party.serial, party.get("good")
    assert (watch.look_if_due(), shown(watch)) == (1, before)
    clock.later()
    assert (watch.look_if_due(), shown(watch)) == (2, after)
    clock.later()
    assert watch.look_if_due() == 2, "the same files are no change"


def test_calls_do_not_look_at_files(ours: Authorities, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask within a second, the files are looked at once."""
    clock = StandingClock()
    watch = PemWatch(files_of(ours.party("node")), clock)
    looks: list[str] = []
    real = os.stat

    def counted(path: Any) -> os.stat_result:
        looks.append(str(path))
        return real(path)

    monkeypatch.setattr("nervenet.security.pem.os.stat", counted)
    clock.later()
    for _ in range(1_000):
        watch.look_if_due()
    assert len(looks) == 3


def test_a_pair_that_does_not_fit_is_not_used_and_is_told_once(
    ours: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    party, clock = ours.party("node"), StandingClock()
    watch = PemWatch(files_of(party), clock)
    before, new = party.serial, ours.issue("good")
    replace(party.key, new.key)
    for look in range(4):
        clock.later()
        assert (watch.look_if_due(), shown(watch)) == (1, before)
        assert "the key belongs to another certificate" in watch.problem
        assert len(caplog.records) == min(look, 1), "the first look may see files that are being written"
    replace(party.cert, new.certificate)
    clock.later()
    assert (watch.look_if_due(), shown(watch), watch.problem) == (2, serial_of(new.certificate), "")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ca", b"", "NERVENET_TLS "),
        ("ca", b"garbage", "NERVENET_TLS "),
        ("cert", b"", "NERVENET_TLS_CERT"),
        ("key", b"garbage", "NERVENET_TLS_KEY"),
        ("cert", None, "cannot be read"),
        ("key", None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_used_change_nothing_later_and_refuse_a_start(
    ours: Authorities, name: str, content: bytes | None, told: str
) -> None:
    party, clock = ours.party("node"), StandingClock()
    watch = PemWatch(files_of(party), clock)
    before = shown(watch)
    file: Path = getattr(party, name)
    file.unlink() if content is None else file.write_bytes(content)
    clock.later()
    assert (watch.look_if_due(), shown(watch)) == (1, before)
    assert told in watch.problem
    with pytest.raises(ConfigError, match=told):
        PemWatch(files_of(party))


def test_half_of_a_list_of_authorities_is_not_used(ours: Authorities) -> None:
    party, clock = ours.party("node"), StandingClock()
    watch = PemWatch(files_of(party), clock)
    before, both = watch.pem.ca, ours.first.pem + ours.second.pem
    party.ca.write_bytes(both[:-200])
    clock.later()
    watch.look_if_due()
    assert watch.pem.ca == before
    party.ca.write_bytes(both)
    clock.later()
    watch.look_if_due()
    assert watch.pem.ca == both


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(ours: Authorities) -> None:
    party = ours.party("node")
    key = form.load_pem_private_key(party.key.read_bytes(), None)
    locked = form.BestAvailableEncryption(b"secret")
    party.key.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    with pytest.raises(ConfigError, match="the key is encrypted"):
        PemWatch(files_of(party))


def test_a_mounted_secret_is_replaced_by_a_symbolic_link(ours: Authorities, tmp_path: Path) -> None:
    """As Kubernetes does it: the files are links through `..data`, which is swapped in one step."""
    mount, old, new = tmp_path / "mount", ours.party("old"), ours.party("new")
    mount.mkdir()
    (mount / "..data").symlink_to(old.ca.parent)
    for name in ("ca.pem", "tls.pem", "tls.key"):
        (mount / name).symlink_to(Path("..data") / name)
    clock = StandingClock()
    watch = PemWatch(PemFiles(*(str(mount / name) for name in ("ca.pem", "tls.pem", "tls.key"))), clock)
    assert shown(watch) == old.serial
    (mount / "..data.new").symlink_to(new.ca.parent)
    (mount / "..data.new").rename(mount / "..data")
    clock.later()
    watch.look_if_due()
    assert shown(watch) == new.serial


def test_a_certificate_that_ends_is_in_the_log_once_an_hour(
    ours: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    party, clock = ours.party("node"), StandingClock()
    party.put(ours.first.issue("node", hosts=["localhost"], days=1))
    watch = PemWatch(files_of(party), clock)

    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    clock.later(15 * 3600.0)
    watch.look_if_due()
    assert warnings() == [], "cert-manager renews when a third is left"
    for hours in (6, 0.5, 0.4, 6):
        clock.later(hours * CERTIFICATE_WARN_EVERY)
        watch.look_if_due()
    assert [line.partition(str(party.cert))[2].partition(":")[0] for line in warnings()] == [
        " ends in 3.0 hours",
        " has expired",
    ]


def test_a_certificate_for_clients_only_has_an_end_too(ours: Authorities) -> None:
    """Some authorities issue those: they cannot be shown by a server."""
    issued = ours.issue("client-only")
    party = ours.party("client")
    party.put(issued)
    assert PemWatch(files_of(party)).pem.validity is not None


# ── nervenet certs dev ───────────────────────────────────────────────────────────────────────────────────────────────


def certs(*arguments: str) -> Any:
    return nervenet("certs", "dev", *arguments, env=clean_environment())


def test_certs_dev_makes_a_mesh_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    done = certs(str(folder), "--host", "node-1.example", "--days", "7")
    assert done.returncode == 0, done.stderr
    assert f"export NERVENET_TLS_CERT={folder}/node.pem" in done.stdout
    assert "rediss://" in done.stdout and "https://" in done.stdout
    keys = sorted(folder.glob("*.key"))
    assert len(keys) == 8
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    watch = PemWatch(PemFiles(*(str(folder / name) for name in ("ca.pem", "agent.pem", "agent.key"))))
    assert watch.pem.validity is not None and watch.pem.certificate is not None
    names = x509.load_pem_x509_certificate(watch.pem.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "node-1.example" in names.value.get_values_for_type(x509.DNSName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://nervenet.dev/nervenet/agent"]
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    again = certs(str(folder))
    assert again.returncode == 2 and "--force" in again.stderr
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_certs_dev_issues_again_and_changes_the_authority_with_an_overlap(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert certs(str(folder)).returncode == 0
    ca, node = (folder / "ca.pem").read_bytes(), (folder / "node.pem").read_bytes()
    assert certs(str(folder), "--force").returncode == 0
    assert (folder / "ca.pem").read_bytes() == ca
    assert (folder / "node.pem").read_bytes() != node
    assert certs(str(folder), "--force", "--new-ca").returncode == 0
    both = (folder / "ca.pem").read_bytes()
    assert both.endswith(ca) and both.count(b"BEGIN CERTIFICATE") == 2
