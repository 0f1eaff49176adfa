"""Virtual servers as rows for people, and as values for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netpol.command.aligned import Aligned, Cell, Column, Fit, Row
from netpol.command.look import Look, Paint
from netpol.command.service_listing import ListedServer
from netpol.model.services import SchedulerFlag
from proxy.model import Destination, Forwarding, HeldDestination, Scheduling, ServerAddress

_FLAGS_OF_HASHES = {SchedulerFlag.FIRST: "fallback", SchedulerFlag.SECOND: "port"}
_HASHES = frozenset({"sh", "mh"})


def service_lines(servers: Iterable[ListedServer], look: Look) -> list[str]:
    """A row for each endpoint, the first of a virtual server's with what is true of all."""
    return _columns(look).lines([row for server in servers for row in _rows(server)])


def scheduling_words(scheduling: Scheduling) -> str:
    """How connections are given to endpoints.

    >>> scheduling_words(Scheduling("rr", persistence_seconds=10800))
    'rr, affinity 10800s'
    """
    flags = (f" {flag}" for flag in scheduling_flags(scheduling))
    lasting = scheduling.persistence_seconds
    return f"{scheduling.scheduler}{''.join(flags)}{'' if lasting is None else f', affinity {lasting}s'}"


def scheduling_flags(scheduling: Scheduling) -> list[str]:
    """What the scheduler is told to do otherwise, in its own words where it has some.

    >>> scheduling_flags(Scheduling("sh", frozenset({SchedulerFlag.SECOND}))), scheduling_flags(Scheduling("rr"))
    (['port'], [])
    """
    words = _FLAGS_OF_HASHES if scheduling.scheduler in _HASHES else {}
    return [words.get(flag, flag.value) for flag in SchedulerFlag if flag in scheduling.flags]


def server_json(server: ListedServer) -> dict[str, object]:
    """The virtual server as a program reads it."""
    key, scheduling = server.held.key, server.held.scheduling
    return {
        "ours": server.is_ours,
        "service": server.record.title or None,
        "namespace": server.namespace or None,
        "name": server.name or None,
        "for": server.record.origin or None,
        "address": None if server.address is None else str(server.address.address),
        "port": None if server.address is None else server.address.port,
        "protocol": None if server.address is None else server.address.protocol.value,
        "mark": None if isinstance(key, ServerAddress) else key.mark,
        "scheduler": scheduling.scheduler,
        "flags": scheduling_flags(scheduling),
        "affinity_seconds": scheduling.persistence_seconds,
        "endpoints": [_endpoint_json(*each) for each in server.destinations],
    }


def _endpoint_json(destination: Destination, held: HeldDestination) -> dict[str, object]:
    return {
        "address": str(destination.address),
        "port": destination.port,
        "forwarding": None if held.forwarding is None else held.forwarding.name.lower(),
        "weight": held.weight,
        "draining": held.is_draining,
        "active": held.active,
        "inactive": held.inactive,
        "persistent": held.persistent,
    }


def _columns(look: Look) -> Aligned:
    columns = (
        Column("SERVICE", Fit.SHORTENED),
        Column("FOR", needed=False),
        Column("ADDRESS"),
        Column("SCHEDULER", needed=False),
        Column("ENDPOINT"),
        Column("WEIGHT", Fit.RIGHT),
        Column("ACTIVE", Fit.RIGHT),
        Column("INACTIVE", Fit.RIGHT),
    )
    return Aligned(columns, "NOTE", look)


def _rows(server: ListedServer) -> Iterator[Row]:
    words = scheduling_words(server.held.scheduling)
    own = tuple(Cell(text) for text in (server.record.title or "-", server.record.origin or "-", server.where, words))
    if not server.destinations:
        nobody = Cell("none", Paint.REFUSED), Cell(""), Cell(""), Cell("")
        yield Row((*own, *nobody), "connections are refused")
    for destination, held in server.destinations:
        yield Row((*own, *_endpoint_cells(destination, held)), _remark(server, held))
        own = (Cell(""),) * len(own)


def _endpoint_cells(destination: Destination, held: HeldDestination) -> tuple[Cell, ...]:
    paint = Paint.FAINT if held.is_draining else None
    texts = (str(destination), str(held.weight), str(held.active), str(held.inactive))
    return tuple(Cell(text, paint) for text in texts)


def _remark(server: ListedServer, held: HeldDestination) -> str:
    draining = "draining" if held.is_draining else ""
    directly = f"answers directly ({server.held.key})" if held.forwarding is Forwarding.TUNNEL else ""
    return "; ".join(filter(None, (draining, directly)))
