# SPDX-License-Identifier: Apache-2.0
"""Codecs alone: what they write, what they refuse, and how keys are rotated."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nervenet.codecs import PLAIN, CodecError, Codecs, hidden, is_encoded, open_codecs
from nervenet.codecs.aes_gcm import AesGcm
from nervenet.codecs.compression import LARGEST
from nervenet.codecs.layout import encoding_of, parsed, serialized, wrapped
from nervenet.config import Config
from nervenet.errors import ConfigError
from nervenet.payloads import ANY
from nervenet.records import NOTHING, Failure, FailureCode, Payload
from nervenet.v1 import common_pb2 as common
from nervenet.wire import payload_in, payload_out
from tests.encryption.keys import codec, key_file, key_line

VECTORS = Path(__file__).with_name("vectors.json")
PAYLOADS = (
    Payload("json", b'{"a":1}'),
    Payload("bytes", bytes(range(256)) * 20),
    Payload("text", "grüße".encode()),
    Payload("uri", b"s3://a/b", payload_in(common.Payload(uri="s3://a/b", sha256=b"x" * 32, size_bytes=7)).about),
    Payload("json", json.dumps(["the same words"] * 500).encode()),
    Payload("bytes", b"zipped elsewhere", payload_in(common.Payload(data=b"x", encoding="gzip")).about),
)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return key_file(tmp_path / "keys", "k1")


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_bytes_inside_are_the_contracts_payload(payload: Payload) -> None:
    assert serialized(payload) == payload_out(payload).SerializeToString()
    assert parsed(payload_out(payload).SerializeToString()) == payload


@pytest.mark.parametrize("before", [(), ("gzip",)])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_encoded_is_decoded_also_after_the_wire(keys: Path, payload: Payload, before: tuple[str, ...]) -> None:
    codecs = open_codecs(codec(keys, *before))
    encoded = codecs.encode(payload)
    assert is_encoded(encoded)
    assert payload.data not in encoded.data
    assert codecs.decode(payload_in(payload_out(encoded))) == payload
    assert codecs.encode(payload) != encoded, "each time with another nonce"
    assert codecs.encode(encoded) is encoded, "what is encoded stays as it is"


def test_no_value_stays_no_value(keys: Path) -> None:
    assert open_codecs(codec(keys)).encode(NOTHING) is NOTHING


def test_vectors_that_other_languages_check() -> None:
    """The Go agent reads the same file (examples/polyglot/go/seal)."""
    for vector in json.loads(VECTORS.read_text())["payloads"]:
        codecs = vector_codecs(vector)
        encoded = payload_in(common.Payload.FromString(bytes.fromhex(vector["encoded"])))
        plain = payload_in(common.Payload.FromString(bytes.fromhex(vector["plain"])))
        assert codecs.decode(encoded) == plain, vector["name"]
        assert encoding_of(encoded) == vector["encoding"]
        if "nonce" in vector:
            assert codecs.encode(plain) == encoded, f"{vector['name']}: written with its nonce, it has the same bytes"


def vector_codecs(vector: dict[str, str], nonce: str = "nonce") -> Codecs:
    import os

    os.environ["NERVENET_TEST_KEYS"] = vector["keys"]
    cipher = AesGcm("env:NERVENET_TEST_KEYS", entropy=lambda _: bytes.fromhex(vector[nonce]))
    return Codecs([*open_codecs("gzip")._order, cipher] if vector["encoding_inside"] else [cipher])


# ── what was changed, or is not known ────────────────────────────────────────────────────────────────────────────────


def test_a_changed_byte_is_found_wherever_it_is(keys: Path) -> None:
    codecs = open_codecs(codec(keys))
    encoded = codecs.encode(Payload("json", b'"secret"'))
    for at in range(len(encoded.data)):
        changed = bytearray(encoded.data)
        changed[at] ^= 1
        with pytest.raises(CodecError, match="does not decrypt with the key id k1"):
            codecs.decode(encoded._replace(data=bytes(changed)))
    for size in range(len(encoded.data)):
        with pytest.raises(CodecError, match="does not decrypt"):
            codecs.decode(encoded._replace(data=encoded.data[:size]))


def test_the_key_id_is_bound(tmp_path: Path) -> None:
    """A value of one key does not pass for one of another, even if both ids have the same key."""
    line = key_line("k1").split()[1]
    (tmp_path / "keys").write_text(f"k1 {line}\nk2 {line}\n")
    codecs = open_codecs(codec(tmp_path / "keys"))
    encoded = codecs.encode(Payload("json", b"1"))
    with pytest.raises(CodecError, match="key id k2"):
        codecs.decode(wrapped("aes-gcm;key=k2", encoded.data))


def test_errors_name_the_key_id_and_the_setting(keys: Path, tmp_path: Path) -> None:
    encoded = open_codecs(codec(keys)).encode(Payload("json", b"1"))
    other = key_file(tmp_path / "other", "k2")
    with pytest.raises(CodecError, match=r"key id k1, which .*other of NERVENET_CODEC does not have \(it has k2\)"):
        open_codecs(codec(other)).decode(encoded)
    with pytest.raises(CodecError, match=r"encrypted \(key id k1\), but NERVENET_CODEC is not set"):
        PLAIN.decode(encoded)
    with pytest.raises(
        CodecError, match=r"encrypted \(key id k1\), but NERVENET_CODEC has no such codec here \(it has gzip\)"
    ):
        open_codecs("gzip").decode(encoded)
    with pytest.raises(CodecError, match=r"encrypted \(key id k1\).*NERVENET_CODEC"):
        ANY.decode(encoded)


def test_what_decompresses_to_too_much_is_refused() -> None:
    bomb = gzip.compress(b"0" * (LARGEST + 1))
    with pytest.raises(CodecError, match="more than 64 MiB"):
        open_codecs("gzip").decode(wrapped("gzip", bomb))
    with pytest.raises(CodecError, match="does not decompress"):
        open_codecs("gzip").decode(wrapped("gzip", b"no gzip"))


@pytest.mark.parametrize(
    "inside",
    [b"\xff", b"\x0a\x7fabc", b"\x0b", b"\x08", b"\x12\x00", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
)
def test_what_is_no_payload_inside_is_refused(inside: bytes) -> None:
    """Whoever has the key may still write nonsense."""
    with pytest.raises(CodecError):
        open_codecs("gzip").decode(wrapped("gzip", gzip.compress(inside)))


# ── rotation ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_key_writes_and_all_listed_keys_read(tmp_path: Path) -> None:
    old = open_codecs(codec(key_file(tmp_path / "old", "k1"))).encode(Payload("json", b"1"))
    codecs = open_codecs(codec(key_file(tmp_path / "new", "k2", "k1")))
    assert codecs.decode(old) == Payload("json", b"1")
    assert encoding_of(codecs.encode(Payload("json", b"1"))) == "aes-gcm;key=k2"


def looked(codecs: Codecs) -> Codecs:
    """The codecs after the look that the process takes once a second."""
    for each in codecs._keyed:
        assert each.file is not None
        each.file.look()
    return codecs


def test_a_key_file_that_changes_is_read_again(keys: Path) -> None:
    codecs = open_codecs(codec(keys))
    old = codecs.encode(Payload("json", b"1"))
    key_file(keys, "k2", "k1")
    assert encoding_of(codecs.encode(Payload("json", b"1"))) == "aes-gcm;key=k1", "encoding reads no file"
    assert encoding_of(looked(codecs).encode(Payload("json", b"1"))) == "aes-gcm;key=k2"
    assert codecs.decode(old) == Payload("json", b"1")
    keys.write_text("k3 not-a-key\n")
    assert encoding_of(looked(codecs).encode(Payload("json", b"1"))) == "aes-gcm;key=k2", "a wrong file changes nothing"
    keys.unlink()
    assert looked(codecs).decode(old) == Payload("json", b"1")


async def test_a_process_that_follows_its_keys_writes_with_the_new_one(keys: Path) -> None:
    codecs = open_codecs(codec(keys, "gzip"))
    following = asyncio.create_task(codecs.follow())
    key_file(keys, "k2", "k1")
    async with asyncio.timeout(20):
        while encoding_of(codecs.encode(Payload("json", b"1"))) != "aes-gcm;key=k2":
            await asyncio.sleep(0.02)
    following.cancel()


def test_a_key_that_is_new_in_the_file_is_found_when_a_value_arrives_and_not_within_a_replay(keys: Path) -> None:
    """Others may write with a key as soon as it is in the file. Only the border looks."""
    codecs = open_codecs(codec(keys))
    key_file(keys, "k2", "k1")
    arrived = payload_in(payload_out(open_codecs(codec(keys)).encode(Payload("json", b"1"), b"f" * 32)))
    with pytest.raises(CodecError, match=r"key id k2, which .* does not have \(it has k1\)"):
        codecs.decode(arrived)
    assert codecs.decode_received(arrived) == Payload("json", b"1")
    assert codecs.decode(arrived) == Payload("json", b"1"), "it is known from now on"


def test_what_arrives_in_a_known_key_looks_at_no_file(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codecs = open_codecs(codec(keys))
    messages = [
        payload_out(codecs.encode(payload, fingerprint)).SerializeToString()
        for payload in PAYLOADS
        for fingerprint in (b"", b"f" * 32)
    ]

    def refuse() -> float:
        raise AssertionError("the file was looked at")

    for each in codecs._keyed:
        monkeypatch.setattr(each.file, "look", refuse)
    for message in messages:
        codecs.look_for_keys_in(message)
    unknown = payload_out(open_codecs(codec(key_file(keys, "k2"))).encode(PAYLOADS[0])).SerializeToString()
    with pytest.raises(AssertionError, match="looked at"):
        codecs.look_for_keys_in(b"".join([*messages, unknown]))


def test_a_digest_of_before_the_rotation_is_still_known(tmp_path: Path) -> None:
    payload, salt = Payload("json", b'"yes"'), b"s" * 16
    before = open_codecs(codec(key_file(tmp_path / "old", "k1"))).digests(payload, salt)
    after = open_codecs(codec(key_file(tmp_path / "new", "k2", "k1"))).digests(payload, salt)
    assert before[0] in after
    assert after[0] not in before, "the newest key writes"
    assert PLAIN.digests(payload, salt) == (payload.digest(),)
    assert payload.digest() == before[-1], "a run that began before the codec goes on"


def test_digests_show_nothing_to_who_has_no_key(tmp_path: Path) -> None:
    payload = Payload("json", b'"yes"')
    one = open_codecs(codec(key_file(tmp_path / "one", "k1")))
    other = open_codecs(codec(key_file(tmp_path / "other", "k2")))
    assert one.digests(payload, b"run 1")[0] != other.digests(payload, b"run 1")[0]
    assert one.digests(payload, b"run 1")[0] != one.digests(payload, b"run 2")[0], "equal values of two runs differ"
    assert one.digests(payload, b"run 1")[0] != payload.digest()


def test_a_fingerprint_is_the_same_for_the_same_json(tmp_path: Path) -> None:
    codecs = open_codecs(codec(key_file(tmp_path / "keys", "k1")))
    one = codecs.fingerprint(Payload("json", b'{"a":1,"b":2}'), "w")
    assert one == codecs.fingerprint(Payload("json", b'{ "b": 2, "a": 1 }'), "w")
    assert one != codecs.fingerprint(Payload("json", b'{"a":1,"b":2}'), "other")
    assert one == open_codecs(codec(key_file(tmp_path / "new", "k2", "k1"))).fingerprint(
        Payload("json", b'{"a":1,"b":2}'), "w"
    )


# ── texts and failures ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_keeps_what_decides_and_hides_its_words(keys: Path) -> None:
    codecs = open_codecs(codec(keys))
    cause = Failure(FailureCode.APPLICATION, "inner secret", "KeyError", stack_trace="secret frame")
    failure = Failure(
        FailureCode.RATE_LIMITED, "secret", "Busy", None, 500, details=Payload("json", b'"secret"'), cause=cause
    )
    sealed = codecs.encode_failure(failure)
    assert (sealed.code, sealed.type, sealed.retry_after_ms) == (FailureCode.RATE_LIMITED, "Busy", 500)
    assert sealed.message == "encrypted (key id k1)"
    assert "secret" not in repr(sealed)
    assert codecs.encode_failure(sealed) == sealed
    assert codecs.decode_failure(sealed) == failure
    with pytest.raises(CodecError, match="key id k1"):
        PLAIN.decode_failure(sealed)


def test_a_text_within_a_text(keys: Path) -> None:
    codecs = open_codecs(codec(keys))
    token = codecs.encode_text("page 7 of secret")
    line = f"at {token}. Then {token}…"
    assert codecs.decode_text(line) == "at page 7 of secret. Then page 7 of secret…"
    assert hidden(line) == "at encrypted (key id k1). Then encrypted (key id k1)…"
    assert PLAIN.decode_text(line) == hidden(line)
    assert codecs.decode_text("encoded[aes-gcm;key=k1]:AAAA encoded[x") == "encrypted (key id k1) encoded[x"
    assert open_codecs("gzip").encode_text("page 7") == "page 7", "texts are hidden, not compressed"


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value", ["zip", "aes-gcm", "aes-gcm:", "aes-gcm:env:", "gzip,gzip", "gzip,,gzip", "a b:c", ":x"]
)
def test_a_setting_that_names_no_codec_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"codec is .* must be codecs with commas between them: gzip, aes-gcm:/path"):
        Config.load(environ={"NERVENET_CODEC": value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no key. Make one"),
        ("k1", "line 1 of .* must have a key id"),
        ("k1 AAAA", "line 1 of .*: the key has 3 bytes, but 32 are needed: openssl rand -base64 32"),
        ("k1 ****", "line 1 of .*: the key is not base64"),
        ("# new\n" + key_line("k1") + "\n" + key_line("k1"), "line 3 of .* has the key id k1 a second time"),
        ("a/b " + key_line("k1").split()[1], "line 1 of .* must have a key id"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=words) as refused:
        open_codecs(codec(tmp_path / "keys"))
    assert key_line("k1").split()[1] not in str(refused.value), "no key in a message"


def test_keys_from_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEYS", ",".join(key_line(one).replace(" ", ":") for one in ("k2", "k1")))
    encoded = open_codecs("aes-gcm:env:KEYS").encode(Payload("json", b"1"))
    assert open_codecs(codec(key_file(tmp_path / "keys", "k2"))).decode(encoded) == Payload("json", b"1")
    with pytest.raises(ConfigError, match="the variable NOT_THERE is not set"):
        open_codecs("aes-gcm:env:NOT_THERE")
    with pytest.raises(ConfigError, match="the key file /not/there cannot be read"):
        open_codecs("aes-gcm:/not/there")


class Reversed:
    """A codec as a user writes it."""

    name = "reversed"

    def encode(self, data: bytes, /) -> tuple[str, bytes] | None:
        return "v=1", data[::-1]

    def decode(self, parameters: str, data: bytes, /) -> bytes:
        assert parameters == "v=1"
        return data[::-1]

    def digests(self, data: bytes, /) -> Sequence[bytes]:
        return ()


OWN = Reversed()
NO_CODEC = object()


def test_a_codec_of_the_users_own() -> None:
    codecs = open_codecs(f"gzip,{__name__}:OWN")
    payload = Payload("json", b'"' + b"x" * 5000 + b'"')
    encoded = codecs.encode(payload)
    assert encoding_of(encoded) == "reversed;v=1"
    assert codecs.decode(encoded) == payload
    with pytest.raises(ConfigError, match="is no codec: it needs `name`"):
        open_codecs(f"{__name__}:NO_CODEC")
    with pytest.raises(ConfigError, match="no_such_module:x cannot be loaded"):
        open_codecs("no_such_module:x")
