# SPDX-License-Identifier: Apache-2.0
"""Errors as the Connect protocol has them: a code, a message and details as JSON, and an HTTP status.

    {"code": "not_found", "message": "there is no workflow 'x'", "details": [
        {"type": "google.rpc.ErrorInfo", "value": "Ch…", "debug": {"reason": "WORKFLOW_NOT_FOUND", …}}]}

`value` is the detail as base64 of protobuf, `debug` is the same as JSON for clients without protobuf.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2 as details

from nervenet.errors import RequestError
from nervenet.rpc.status import status_message

__all__ = ["HttpRefusal", "error_json", "http_status"]

_STATUS: Final = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""The statuses of the Connect protocol, by the name of the gRPC status."""
_DETAILS: Final = {
    kind.DESCRIPTOR.full_name: kind for kind in (details.ErrorInfo, details.RetryInfo, details.BadRequest)
}


class HttpRefusal(RequestError):
    """A request that is wrong as HTTP. `status` says more than the status of its code."""

    def __init__(
        self, status: int, code: str, message: str, *, reason: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.status = status
        self.headers = headers or {}


def http_status(error: RequestError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, HttpRefusal) else _STATUS.get(error.code, 500)


def error_json(error: RequestError) -> dict[str, Any]:
    """The error as JSON values."""
    status = status_message(error)
    code = "canceled" if error.code == "CANCELLED" else error.code.lower()
    return {"code": code, "message": status.message, "details": [_detail(packed) for packed in status.details]}


def _detail(packed: Any) -> dict[str, Any]:
    name = packed.type_url.rpartition("/")[2]
    shown = MessageToDict(_DETAILS[name].FromString(packed.value))
    return {"type": name, "value": base64.b64encode(packed.value).decode().rstrip("="), "debug": shown}
