"""A complete list of one kind, page by page."""

from __future__ import annotations

from netpol.source.kube.cursor import Cursor
from netpol.source.kube.discovery import Getting
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.garbage import collection_paused
from netpol.source.kube.objects import Found
from netpol.source.kube.pages import Garbled, decode_page
from netpol.source.kube.resources import Resource


def list_objects(connection: Getting, resource: Resource, cursor: Cursor) -> tuple[list[Found], list[Garbled]]:
    """The objects of a complete list, behind which the cursor then follows, and those that could not be named."""
    found: list[Found] = []
    unnamed: list[Garbled] = []
    is_complete = False
    while not is_complete:
        body = connection.get(resource.list_request(cursor.list_query()))
        with collection_paused():
            try:
                page = decode_page(body, resource.object_name)
            except Garbled as error:
                raise ApiFailure(Reason.GARBLED, f"list {resource.title}: {error}") from None
            for item in page.items:
                try:
                    found.append(resource.reader.read(item)[1])
                except Garbled as error:
                    unnamed.append(error)
        is_complete = cursor.take_page(page.version, page.following)
    return found, unnamed
