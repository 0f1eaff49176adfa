"""A list is all of its pages; what cannot be read of it stops nothing else, and what is no list is none."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from netpol.model.facts import PROXY_KINDS, Kind
from netpol.settings import PolicyOptions
from netpol.source.kube.cursor import Cursor
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.paging import list_objects
from netpol.source.kube.requests import Query, Request
from netpol.source.kube.resources import resources

(SERVICES,) = resources(PolicyOptions(), kinds=PROXY_KINDS)[Kind.SERVICE]


class Server:
    """Answers with these pages, one after the other, and keeps what it was asked."""

    def __init__(self, *pages: bytes) -> None:
        self._pages = iter(pages)
        self.asked: list[Query] = []

    def get(self, request: Request) -> bytes:
        """The next page."""
        self.asked.append(request.query)
        return next(self._pages)


def page(names: Sequence[str], following: str = "") -> bytes:
    metadata = {"resourceVersion": "7", "continue": following}
    items = [{"metadata": {"namespace": "x", "name": name}, "spec": {"clusterIP": "10.96.0.1"}} for name in names]
    return json.dumps({"kind": "ServiceList", "metadata": metadata, "items": items}).encode()


def test_all_pages_are_one_list() -> None:
    server, cursor = Server(page(["a", "b"], "more"), page(["c"])), Cursor(page_limit=2)
    found, unnamed = list_objects(server, SERVICES, cursor)
    assert [each.key.name for each in found] == ["a", "b", "c"]
    assert unnamed == []
    assert server.asked == [(("limit", "2"),), (("limit", "2"), ("continue", "more"))]
    assert cursor.follows


def test_an_object_without_a_name_is_told_beside_the_others() -> None:
    found, unnamed = list_objects(Server(page(["a", "", "c"])), SERVICES, Cursor())
    assert [each.key.name for each in found] == ["a", "c"]
    assert list(map(str, unnamed)) == ["a Service has no name"]


def test_what_is_no_list_is_a_failure() -> None:
    cursor = Cursor()
    with pytest.raises(ApiFailure, match="list services: the answer is no list") as failure:
        list_objects(Server(b"<html>"), SERVICES, cursor)
    assert failure.value.reason is Reason.GARBLED
    assert not cursor.follows
