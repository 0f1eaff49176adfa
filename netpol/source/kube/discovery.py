"""Which of the APIs that could serve a kind does (M5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.requests import Request
from netpol.source.kube.resources import Resource


class _Named(msgspec.Struct):
    name: str


class _ResourceList(msgspec.Struct):
    kind: str
    resources: list[_Named]


class Getting(Protocol):
    """What is used of a connection here."""

    def get(self, request: Request) -> bytes:
        """The whole answer to a read."""


def served(candidates: Sequence[Resource], connection: Getting) -> Resource | None:
    """The first of the candidates that the server serves; None where it serves none of them."""
    for candidate in candidates:
        request = Request("get", f"the resources of {candidate.api_version}", candidate.api_path)
        try:
            body = connection.get(request)
        except ApiFailure as failure:
            if failure.reason is Reason.NOT_SERVED:
                continue
            raise
        if candidate.plural in _names(body, candidate):
            return candidate
    return None


def _names(body: bytes, candidate: Resource) -> set[str]:
    try:
        found = msgspec.json.decode(body, type=_ResourceList)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiFailure(Reason.GARBLED, f"the resources of {candidate.api_version}: {error}") from None
    return {each.name for each in found.resources}
