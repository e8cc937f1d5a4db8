# SPDX-License-Identifier: Apache-2.0
"""Typed values ⇄ payload bytes. This module and `schemas` alone know pydantic.

    codec = Codec.of(list[Turn])
    payload = codec.encode([Turn("user", "hi")])     # Payload("json", b'[{"role":"user","text":"hi"}]')
    codec.decode(payload)                            # [Turn(...)], or InvalidPayload: "turns[2].role: …"

The JSON is what any other language would write by hand: no type tags, no pickle, integers of any size, compact UTF-8.
`bytes` travel raw (form `bytes`), no value at all is the form `none`, a None of any other type is JSON's null.

Encoding is strict, and where a value is not exactly of the declared type it is validated into it first (a dict into a
model, a tuple into a list): so what leaves always decodes, and a mistake shows at the call, not in another process.
The bound methods of pydantic's core are kept per type, because TypeAdapter's own wrappers cost four times the work.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    overload,
)

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation
from pydantic_core import PydanticSerializationError, from_json
from typing_extensions import TypedDict, TypeForm, is_typeddict

from nervenet.codecs.layout import CodecError, describe, encoding_of, is_encoded
from nervenet.errors import NervenetError
from nervenet.records import NOTHING, Payload
from nervenet.schemas import described, path_of, schema_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
_SCALARS = (str, int, float, bool)


class InvalidPayload(NervenetError, ValueError):
    """A value does not fit the declared type. The message has the path to it. It is never retried."""


class PayloadTooLarge(NervenetError, ValueError):
    """A value is larger than the setting `payload_limit` allows. Store it elsewhere and pass a URI."""


class Codec(Generic[T]):
    """How the values of one type travel. Get one with `Codec.of`; they are shared and thread-safe."""

    __slots__ = ("_adapter", "_raw", "_read", "_write", "plain", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.plain: type | None = (
            type_ if type_ in _SCALARS else None
        )  # a value of it needs no look before it is written
        members = get_args(type_) if get_origin(type_) in (Union, types.UnionType) else (type_,)
        self._raw = bytes in members or type_ is Any
        self._adapter = _adapter(type_)
        self._write: Callable[..., bytes] = self._late_write
        self._read: Callable[[bytes], T] = self._late_read
        if self._adapter.pydantic_complete:
            self._bind()

    @overload
    @staticmethod
    def of(type_: type[T], /) -> Codec[T]: ...
    @overload
    @staticmethod
    def of(type_: TypeForm[T], /) -> Codec[T]: ...
    @staticmethod
    def of(type_: Any, /) -> Codec[Any]:
        """The codec of a type.

        Args:
            type_: A pydantic model, dataclass, TypedDict, Enum, Literal, union, `bytes`, None or plain JSON type.

        Raises:
            TypeError: Values of this type cannot travel.
        """
        try:
            return _cached(type_)
        except TypeError as error:
            if "unhashable" in str(error):  # Annotated[…] with unhashable metadata
                return Codec(type_)
            raise

    def encode(self, value: T, /) -> Payload:
        """The value as bytes, as it is now: a later change of the value has no effect.

        Raises:
            InvalidPayload: The value does not fit the type.
        """
        if self.type is None:
            return _nothing(value)
        try:
            if type(value) is self.plain:
                return Payload("json", self._write(value))
            if self._raw and isinstance(value, (bytes, bytearray, memoryview)):
                return Payload("bytes", bytes(value))
            return Payload("json", self._write(value, warnings="error", by_alias=True, round_trip=True))
        except PydanticSerializationError:
            return Payload("json", self._write_validated(value))
        except ValueError as error:  # a cycle
            raise InvalidPayload(f"{type_name(self.type)}: {error}") from None

    def decode(self, payload: Payload, /, name: str = "") -> T:
        """The value of a payload, validated.

        Args:
            payload: What was received.
            name: What the path in an error begins with (`turns` in `turns[2].role: …`).

        Raises:
            InvalidPayload: The payload does not fit the type.
        """
        try:
            if payload.form == "json":
                return self._read(payload.data)
            return self._decode_other(payload)
        except ValidationError as error:
            raise InvalidPayload(explain(error, name)) from None
        except InvalidPayload as error:
            raise InvalidPayload(f"{name}: {error}" if name else str(error)) from None

    def convert(self, value: Any, /) -> T:
        """A Python value validated into the type.

        Raises:
            InvalidPayload: The value does not fit the type.
        """
        try:
            return cast(T, self._adapter.validate_python(value))
        except ValidationError as error:
            raise InvalidPayload(explain(error)) from None

    def schema(self) -> bytes:
        """The JSON Schema of the type as compact JSON. Empty if the type has none."""
        try:
            return schema_of(self._adapter).encode()
        except (PydanticInvalidForJsonSchema, PydanticUserError):
            return b""

    def __repr__(self) -> str:
        return f"<Codec {type_name(self.type)}>"

    # ── the seldom paths ─────────────────────────────────────────────────────────────────────────────────────────────

    def _bind(self) -> None:
        self._write = self._adapter.serializer.to_json
        self._read = self._adapter.validator.validate_json

    def _complete(self) -> None:
        """Build what was put off because a class named in the type was not defined yet."""
        try:
            self._adapter.rebuild(force=True)
        except PydanticUndefinedAnnotation as error:
            raise InvalidPayload(f"{type_name(self.type)} is incomplete: {error.name} is not defined") from None
        self._bind()

    def _late_write(self, value: T, **how: Any) -> bytes:
        self._complete()
        return self._write(value, **how)

    def _late_read(self, data: bytes) -> T:
        self._complete()
        return self._read(data)

    def _write_validated(self, value: object) -> bytes:
        try:
            return self._write(self.convert(value), warnings="error", by_alias=True, round_trip=True)
        except PydanticSerializationError as error:
            reason = " ".join(str(error).split()).removeprefix("Pydantic serializer warnings: ")
            raise InvalidPayload(
                f"{type_name(self.type)} cannot be written as JSON: {reason}{_advice(reason)}"
            ) from None

    def _decode_other(self, payload: Payload) -> T:
        form, data, _ = payload
        if form == "none":
            try:
                return self._read(b"null")
            except ValidationError:
                raise InvalidPayload(f"no value was sent, but {type_name(self.type)} is needed") from None
        if form == "bytes":
            if is_encoded(payload):
                raise CodecError(_not_decoded(encoding_of(payload)))
            if self._raw:
                return cast(T, data)
            raise InvalidPayload(f"raw bytes were sent ({len(data)} of them), {type_name(self.type)} is needed")
        if form == "uri":
            if self.type is str or self.type is Any:
                return cast(T, data.decode())
            uri = data.decode(errors="replace")
            raise InvalidPayload(f"a URI was sent ({uri}), {type_name(self.type)} is needed: declare str and fetch it")
        if form == "text":
            return self._decode_text(data)
        raise InvalidPayload(f"the payload has an unknown form {form!r}")

    def _decode_text(self, data: bytes) -> T:
        if self._raw and self.type is not Any:
            return cast(T, data)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"the text is not UTF-8 at byte {error.start}") from None
        return self._read(json.dumps(text).encode())


def check_size(payload: Payload, limit: int, what: str) -> None:
    """Refuse a payload above `limit` bytes; `what` names it (`extract: input`)."""
    if payload.size > limit:
        raise PayloadTooLarge(
            f"{what} is {format_size(payload.size)}, limit {format_size(limit)} (NERVENET_PAYLOAD_LIMIT); "
            "store it and pass a URI."
        )


def read_json(text: bytes) -> Any:
    """A JSON value. ValueError where it is none: also NaN and infinities, half a surrogate, more than 200 levels."""
    return from_json(text, allow_inf_nan=False)


def check_json(text: bytes, what: str) -> None:
    """Refuse what is no JSON: for values that another language wrote."""
    try:
        read_json(text)
    except ValueError as error:
        raise InvalidPayload(f"{what} is not JSON: {error}") from None


def format_size(size: int) -> str:
    """`3.2 MiB`, `1 MiB`, `17 B`."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{f'{size / factor:.1f}'.removesuffix('.0')} {unit}"
    return f"{size} B"


def explain(error: ValidationError, name: str = "") -> str:
    """What does not fit and where: `turns[2].role: input should be a valid string, got 7`; at most three of them."""
    found = error.errors(include_url=False, include_context=False)
    parts = [_problem(dict(item), name) for item in found[:3]]
    return "; ".join(parts) + (f" (and {len(found) - 3} more)" if len(found) > 3 else "")


def type_name(type_: Any) -> str:
    """A type as its author would write it."""
    if isinstance(type_, type) and not get_args(type_):
        return type_.__name__
    return repr(type_).replace("typing.", "").replace("NoneType", "None")


def _nothing(value: object) -> Payload:
    if value is not None:
        raise InvalidPayload(f"takes no value, got {shown(value)}")
    return NOTHING


def _problem(item: dict[str, Any], name: str) -> str:
    path = (name + path_of(item["loc"])).removeprefix(".")
    return f"{path}: {described(item)}" if path else described(item)


def _advice(reason: str) -> str:
    if "utf-8 sequence" in reason:
        return ": bytes inside a model need model_config = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64')"
    return ""


@lru_cache(maxsize=4096, typed=True)
def _cached(type_: Any) -> Codec[Any]:
    return Codec(type_)


def _adapter(type_: Any) -> TypeAdapter[Any]:
    modern = _modern(type_)
    try:
        try:
            return TypeAdapter(modern, config=_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":  # models, dataclasses and TypedDicts carry their own
                raise
            return TypeAdapter(modern)
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise TypeError(
            f"{type_name(type_)} cannot be a payload: {reason}. "
            "Payloads are JSON (pydantic models, dataclasses, TypedDicts, enums, plain values), bytes or None."
        ) from None


def _modern(type_: Any) -> Any:
    """The type with `typing.TypedDict` classes rebuilt as typing_extensions' ones, which pydantic wants before 3.12."""
    if sys.version_info >= (3, 12):
        return type_
    if is_typeddict(type_) and type(type_).__module__ == "typing":
        hints = typing.get_type_hints(type_, include_extras=True)
        marked = {name: _marked(_modern(hint), name in type_.__required_keys__) for name, hint in hints.items()}
        return TypedDict(type_.__name__, marked)  # type: ignore[operator]  # the functional form with computed fields
    origin, args = get_origin(type_), get_args(type_)
    if not args or origin is typing.Literal:
        return type_
    modern = tuple(_modern(argument) for argument in args)
    if modern == args:
        return type_
    if origin is types.UnionType:
        return Union[modern]  # noqa: UP007  # `|` over a tuple
    return origin[modern]


def _marked(hint: Any, required: bool) -> Any:
    if get_origin(hint) in (Required, NotRequired):
        return hint
    return Required[hint] if required else NotRequired[hint]


class _AsItIs(Codec[Payload]):
    """Payloads that are passed on: nothing is parsed, so no digit and no byte of them can change."""

    __slots__ = ()

    def __init__(self) -> None:
        self.type = Payload
        self.plain = None

    def encode(self, value: Payload, /) -> Payload:
        return value

    def decode(self, payload: Payload, /, name: str = "") -> Payload:
        return payload

    def convert(self, value: Any, /) -> Payload:
        return value if isinstance(value, Payload) else ANY.encode(value)

    def schema(self) -> bytes:
        return ANY.schema()


ANY: Codec[Any] = Codec.of(Any)
"""Plain JSON, for what is called by name."""

AS_IT_IS: Codec[Payload] = _AsItIs()
"""For code that passes a value on without reading it."""


def _not_decoded(encoding: str) -> str:
    """What to do about a value that arrived as it travels."""
    if encoding == "blob":
        return (
            "the value is in the blob store: an answer carries some of them, and none that is missing there. Ask for fewer values at "
            "once; a process that uses Redis needs NERVENET_BLOBS as the nodes have it"
        )
    return f"the value is {describe(encoding)}, and NERVENET_CODEC of this process cannot decode it: set it as the mesh has it"
