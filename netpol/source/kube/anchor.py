"""Whether an API server is the one that this node belongs to, and has its memory."""

from __future__ import annotations

from typing import Protocol

from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.pages import Garbled, decode_header, decode_page
from netpol.source.kube.requests import Request


class Connection(Protocol):
    """What is used of the connection."""

    @property
    def server(self) -> str:
        """The server's URL."""

    def get(self, request: Request) -> bytes:
        """The whole answer to a read."""


class Anchor:
    """No list is believed of a server that does not know the node by its name, and no watch goes on with it.

    One that was started with an empty store has namespaces of its own within a second, and no
    policies: what it lists would open every pod. It has no node until somebody registers one.
    """

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection = connection
        self._node = node

    def require(self) -> None:
        """The server knows the node; ApiFailure where it does not, or does not answer."""
        query = (("fieldSelector", f"metadata.name={self._node}"),)
        body = self._connection.get(Request("list", "nodes", "/api/v1/nodes", query))
        try:
            names = {decode_header(item).name for item in decode_page(body, "Node").items}
        except Garbled as error:
            raise ApiFailure(Reason.GARBLED, f"list nodes: {error}") from None
        if self._node not in names:
            message = (
                f"{self._connection.server} knows no node {self._node}, so nothing that it lists is believed: "
                "it has lost its memory, or --hostname-override names another node"
            )
            raise ApiFailure(Reason.EMPTY, message)
