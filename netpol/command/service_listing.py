"""The virtual servers of a node with the services that have them: whose each is, and what it is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netpol.compiler.ruleset import IpSet
from proxy.model import Destination, HeldDestination, HeldServer, ServerAddress, ServerKey, ServerMark
from proxy.ownership import Marking, Record, is_ours, marked_servers, recorded_addresses, recorded_servers

NO_RECORD = Record("", "")


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A virtual server, where clients reach it, and for which service; None for a mark that nobody recorded."""

    held: HeldServer
    address: ServerAddress | None
    record: Record
    is_ours: bool

    @property
    def namespace(self) -> str:
        """The service's; empty where none is recorded."""
        return self.record.title.partition("/")[0]

    @property
    def name(self) -> str:
        """The service's; empty where none is recorded."""
        return self.record.title.partition("/")[2].rpartition(":")[0]

    @property
    def where(self) -> str:
        """What clients ask for, else the mark that packets have."""
        return str(self.address or self.held.key)

    @property
    def destinations(self) -> list[tuple[Destination, HeldDestination]]:
        """The endpoints, in the order of their addresses."""
        return sorted(self.held.destinations.items(), key=lambda each: (each[0].address.packed, each[0].port))


def listed_servers(
    held: Iterable[HeldServer], sets: Mapping[str, IpSet], marking: Iterable[str] = ()
) -> list[ListedServer]:
    """The virtual servers, ours first and by service, as the service proxy's sets and its `marking` rules tell of them.

    Those of others are known by that nothing tells of them.
    """
    records, bound, marked = recorded_servers(sets), recorded_addresses(sets), marked_servers(marking)
    found = (
        ListedServer(server, *_told_of(server.key, records, marked), is_ours(server.key, records, bound))
        for server in held
    )
    return sorted(found, key=_place)


def _told_of(
    key: ServerKey, records: Mapping[ServerAddress, Record], marked: Mapping[ServerMark, Marking]
) -> tuple[ServerAddress | None, Record]:
    """Where clients reach the server, and what is recorded of it."""
    if isinstance(key, ServerAddress):
        return key, records.get(key, NO_RECORD)
    return marked.get(key, (None, NO_RECORD))


def _place(server: ListedServer) -> tuple[bool, str, str, int, bytes, int, str]:
    key = server.address
    packed, port = (b"", 0) if key is None else (key.address.packed, key.port)
    record = server.record
    return not server.is_ours, record.title, record.origin, len(packed), packed, port, str(server.held.key)
