# SPDX-License-Identifier: Apache-2.0
"""Errors ⇄ google.rpc.Status: here a RequestError becomes a gRPC status, and a status becomes a RequestError.

Each error has ErrorInfo (domain, reason, metadata). Wrong input also has BadRequest with the paths of the fields; a
temporary error has RetryInfo. A status without our ErrorInfo is not from a node, but from the network or a proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from nervenet.errors import (
    AlreadyClosed,
    AlreadyExists,
    InvalidRequest,
    NotFound,
    Overloaded,
    PreconditionFailed,
    RequestError,
    Unauthorized,
    Unavailable,
)
from nervenet.grpc_import import grpc
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import mistakes

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = [
    "DETAILS_KEY",
    "already_closed",
    "check_values",
    "error_of",
    "from_outcome",
    "id_reused",
    "invalid",
    "invalid_all",
    "no_method",
    "not_found",
    "not_yet",
    "status_message",
    "status_of",
    "to_outcome",
]

DOMAIN: Final = "nervenet"
DETAILS_KEY: Final = "grpc-status-details-bin"

_KINDS: Final[dict[str, type[RequestError]]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": PreconditionFailed,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAVAILABLE": Unavailable,
    "UNAUTHENTICATED": Unauthorized,
    "PERMISSION_DENIED": Unauthorized,
}
_CLOSED: Final = frozenset({"WORKFLOW_CLOSED", "ESCALATION_CLOSED"})
_COME_AGAIN: Final = {
    "QUEUE_FULL": timedelta(seconds=1),
    "NODE_FULL": timedelta(seconds=1),
    "MEMORY_FULL": timedelta(seconds=1),
    "JOURNAL_FULL": timedelta(seconds=1),
    "BACKEND_DOWN": timedelta(milliseconds=500),
    "NO_AGENT": timedelta(seconds=1),
}


# ── created by services ──────────────────────────────────────────────────────────────────────────────────────────────


def invalid(field: str, message: str, *, reason: str = "INVALID_FIELD") -> InvalidRequest:
    """Wrong input: the field (`requests[2].workflow_id`), and what it should be."""
    error = InvalidRequest(f"{field}: {message}", code="INVALID_ARGUMENT", reason=reason)
    error.fields = ((field, message),)
    return error


def invalid_all(fields: Sequence[tuple[str, str]]) -> InvalidRequest:
    """Wrong input in several fields. The message has the first one, and their number."""
    (field, message), more = fields[0], len(fields) - 1
    ending = f" (and {more} more)" if more else ""
    error = InvalidRequest(f"{field}: {message}{ending}", code="INVALID_ARGUMENT", reason="INVALID_FIELD")
    error.fields = tuple(fields)
    return error


def check_values(message: Message, at: str = "") -> None:
    """Raise InvalidRequest if a time, an enum or a number is out of bounds. `at` is a prefix of the paths."""
    if found := mistakes(message, at):
        raise invalid_all(found)


def not_found(what: str, id: str, message: str = "", *, namespace: str = "") -> NotFound:
    """`what` is workflow, agent, node, lease, escalation or definition. The message has the namespace, which is the
    most frequent mistake."""
    where = f" in namespace {namespace}" if namespace else ""
    return NotFound(
        message or f"there is no {what} {id!r}{where}",
        code="NOT_FOUND",
        reason=f"{what.upper()}_NOT_FOUND",
        metadata={f"{what}_id": id},
    )


def already_closed(what: str, id: str, message: str, **metadata: str) -> AlreadyClosed:
    return AlreadyClosed(
        message, code="FAILED_PRECONDITION", reason=f"{what.upper()}_CLOSED", metadata={f"{what}_id": id, **metadata}
    )


def id_reused(request_id: str, words: str, **metadata: str) -> AlreadyExists:
    """Another request with this id came before. `words` say what differs."""
    return AlreadyExists(
        f"request_id {request_id!r} was used before: {words}. Choose another request_id",
        code="ALREADY_EXISTS",
        reason="REQUEST_ID_REUSED",
        metadata={"request_id": request_id, **metadata},
    )


def not_yet(message: str) -> RequestError:
    """The method is in the contract, but not in this version."""
    return RequestError(message, code="UNIMPLEMENTED", reason="NOT_YET")


def no_method(path: str) -> RequestError:
    """The method is not in the contract of this version."""
    words = (
        f"there is no method {path[:200]!r} here: docs/reference/contract.md has them all, or a newer release has it"
    )
    return RequestError(words, code="UNIMPLEMENTED", reason="UNKNOWN_METHOD")


# ── to the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────


def status_of(error: RequestError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Code, message and trailing metadata, the arguments of `context.abort`."""
    status = status_message(error)
    return grpc.StatusCode[error.code], status.message, ((DETAILS_KEY, status.SerializeToString()),)


def status_message(error: RequestError) -> status_pb2.Status:
    """Code, message and details (ErrorInfo, RetryInfo, BadRequest) as a google.rpc.Status."""
    code, message = grpc.StatusCode[error.code], clipped(error.message, MOST_MESSAGE)
    metadata = {key: clipped(value, MOST_VALUE) for key, value in error.metadata.items()}
    info = details.ErrorInfo(domain=DOMAIN, reason=error.reason, metadata=metadata)
    status = status_pb2.Status(code=code.value[0], message=message, details=[_packed(info)])
    if (after := _retry_after(error)) is not None:
        status.details.append(_packed(details.RetryInfo(retry_delay=_duration(after))))
    if error.fields:
        room = MOST_DETAILS - status.ByteSize() - len(quote(message)) * 3 // 4
        status.details.append(_packed(_bad_request(error.fields, room)))
    return status


MOST_MESSAGE: Final = 1_000
MOST_VALUE: Final = 300
MOST_WHY: Final = 500
MOST_DETAILS: Final = 5_600
"""The largest error in bytes. It is sent as metadata, for which gRPC allows 8 KiB, as base64; and it may quote input of
any size."""


def clipped(text: str, most: int) -> str:
    """At most this number of bytes of UTF-8."""
    data = text.encode(errors="replace")
    return text if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"


def _bad_request(fields: Sequence[tuple[str, str]], room: int) -> details.BadRequest:
    """The first fields, as many as fit."""
    bad = details.BadRequest()
    for name, why in fields:
        bad.field_violations.add(field=clipped(name, MOST_VALUE), description=clipped(why, MOST_WHY))
        if bad.ByteSize() > room and len(bad.field_violations) > 1:
            del bad.field_violations[-1]
            break
    return bad


def to_outcome(error: RequestError) -> pb.RequestStatus:
    """An error inside a batch."""
    after = _retry_after(error)
    return pb.RequestStatus(
        code=grpc.StatusCode[error.code].value[0],
        message=clipped(error.message, MOST_MESSAGE),
        reason=error.reason,
        metadata={key: clipped(value, MOST_VALUE) for key, value in error.metadata.items()},
        retry_after=None if after is None else _duration(after),
        fields=[pb.FieldProblem(field=name, description=why) for name, why in error.fields],
    )


def _retry_after(error: RequestError) -> timedelta | None:
    return error.retry_after if error.retry_after is not None else _COME_AGAIN.get(error.reason)


def _packed(message: details.ErrorInfo | details.BadRequest | details.RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _duration(span: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(span)
    return message


# ── from the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def error_of(error: grpc.aio.AioRpcError, where: str) -> RequestError:
    """The error of the other side. Without our details: `where` cannot be reached."""
    code = error.code()
    # Pairs, because the keys() of grpc.aio's metadata are pairs too before grpcio 1.80, and dict() would ask for them.
    packed = dict([*(error.trailing_metadata() or ())]).get(DETAILS_KEY)
    if not isinstance(packed, bytes):
        return _transport_error(code, error.details() or code.name, where)
    status = status_pb2.Status.FromString(packed)
    info, bad, retry = details.ErrorInfo(), details.BadRequest(), details.RetryInfo()
    for message in status.details:
        _ = message.Unpack(info) or message.Unpack(bad) or message.Unpack(retry)
    found = _made(code.name, status.message, info.reason, dict(info.metadata))
    found.fields = tuple((violation.field, violation.description) for violation in bad.field_violations)
    found.retry_after = retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None
    return found


def from_outcome(status: pb.RequestStatus) -> RequestError:
    """An error from a batch."""
    found = _made(_NAMES.get(status.code, "UNKNOWN"), status.message, status.reason, dict(status.metadata))
    found.fields = tuple((problem.field, problem.description) for problem in status.fields)
    if status.HasField("retry_after"):
        found.retry_after = status.retry_after.ToTimedelta()
    return found


_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


def _made(code: str, message: str, reason: str, metadata: dict[str, str]) -> RequestError:
    kind = AlreadyClosed if reason in _CLOSED else _KINDS.get(code, RequestError)
    return kind(message, code=code, reason=reason, metadata=metadata)


# grpc.aio's message for a stream that broke during a write, before the stream's real status has arrived.
_NOT_SENT: Final = "Internal error from Core"


def _transport_error(code: grpc.StatusCode, words: str, where: str) -> RequestError:
    if code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"no answer from {where}: {words}", code=code.name)
    if code is grpc.StatusCode.CANCELLED:  # not cancelled by the caller: a server that stops drops calls like this
        return Unavailable(f"{where} dropped the call: it stops", code=grpc.StatusCode.UNAVAILABLE.name)
    if code is grpc.StatusCode.INTERNAL and words == _NOT_SENT:
        return Unavailable(f"{where} went away in the middle", code=grpc.StatusCode.UNAVAILABLE.name)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return RequestError(f"{where} does not know this call: {words}", code=code.name)
    return _made(code.name, words, "", {})
