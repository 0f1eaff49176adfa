"""What a request to the API server can fail with, in words for a person and as a label for a counter."""

from __future__ import annotations

import enum

import msgspec

from netpol.errors import NetpolError
from netpol.source.kube.requests import Request

LONGEST_WAIT_ASKED_SECONDS = 60.0
"""A server that asks for more patience than this gets no more: policy that is out of date is worse than one request."""

_LONGEST_MESSAGE = 300


class Reason(enum.Enum):
    """Why there is no answer; the values are labels of the counter of failures."""

    UNREACHABLE = "unreachable"
    TLS = "tls"
    CUT = "cut"
    SILENT = "silent"
    GARBLED = "garbled"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_SERVED = "not-served"
    GONE = "gone"
    EMPTY = "empty"
    BUSY = "busy"
    SERVER_ERROR = "server-error"
    REFUSED = "refused"
    CLOSED = "closed"
    BUG = "bug"


class ApiFailure(NetpolError):
    """A request without the answer that was asked for; `retry_seconds` is the patience that the server asks for.

    `status` is the answer's, None where none came.
    """

    def __init__(self, reason: Reason, message: str, retry_seconds: float = 0.0, status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.status = status


class _Status(msgspec.Struct):
    message: str = ""
    code: int = 0


_REASONS = {
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_SERVED,
    410: Reason.GONE,
    429: Reason.BUSY,
}


def of_status(status: int, request: Request, body: bytes, retry_after: str = "") -> ApiFailure:
    """The failure that an HTTP status other than success tells of."""
    reason = _REASONS.get(status, Reason.SERVER_ERROR if status >= 500 else Reason.REFUSED)
    said = _message(body)
    match reason:
        case Reason.FORBIDDEN:
            words = f"this account may not {request.verb} {request.resource} (its role lacks the verb {request.verb})"
        case Reason.UNAUTHORIZED:
            words = f"the API server does not accept the credentials to {request.verb} {request.resource}"
        case Reason.NOT_SERVED:
            words = f"the API server does not serve {request.resource}"
        case _:
            words = f"the API server answers {status} to {request.verb} {request.resource}"
    return ApiFailure(reason, f"{words}: {said}" if said else words, _seconds(retry_after), status)


def of_event(status: bytes, request: Request) -> ApiFailure:
    """The failure that an ERROR event tells of; its object is a Status."""
    return of_status(_decoded(status).code or 500, request, status)


def _message(body: bytes) -> str:
    """What a Status says, or the beginning of any other text, in one line."""
    text = _decoded(body).message or body[: 4 * _LONGEST_MESSAGE].decode(errors="replace")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _decoded(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Status()


def _seconds(retry_after: str) -> float:
    """The header's seconds; a date in it counts as nothing asked, for API servers send none."""
    text = retry_after.strip()
    return min(float(text), LONGEST_WAIT_ASKED_SECONDS) if text.isascii() and text.isdigit() else 0.0
