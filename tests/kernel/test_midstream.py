"""A connection that was cut is not picked up in mid-stream, whatever SCTP's own messages try (G11).

Connection tracking takes for new what an unknown association says to test a path or to end: the
first such packet of the side that may open connections would bring the whole association back.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum

import pytest
from builders import pods, policy, rule
from cluster import Cluster

from netpol.lab import sctp
from netpol.lab.flows import Speaker
from netpol.lab.listeners import losing_what_is_refused, open_socket, payload
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family

pytestmark = pytest.mark.kernel

API_ONLY = policy("x/web", "app=web", ingress=[rule(peers=[pods("app=api")])])
HEARING_SECONDS = 0.4
CLIENT_TAG, SERVER_TAG = 0x1111, 0x2222


class Chunk(Enum):
    """A chunk's type and its body."""

    DATA = 0, struct.pack("!IHHI", 1, 0, 0, 0) + b"data"
    INIT = 1, sctp.INIT_BODY.pack(CLIENT_TAG, sctp.RECEIVER_WINDOW, 1, 1, 1)
    INIT_ACK = 2, sctp.INIT_BODY.pack(SERVER_TAG, sctp.RECEIVER_WINDOW, 1, 1, 1) + struct.pack("!HHI", 7, 8, 0)
    HEARTBEAT = 4, struct.pack("!HHI", 1, 8, 0)
    HEARTBEAT_ACK = 5, struct.pack("!HHI", 1, 8, 1)
    SHUTDOWN = 7, bytes(4)
    SHUTDOWN_ACK = 8, b""
    ERROR = 9, struct.pack("!HHI", 1, 8, 0)
    COOKIE_ECHO = 10, bytes(4)
    COOKIE_ACK = 11, b""


REVIVALS = [
    (Chunk.HEARTBEAT, Chunk.HEARTBEAT_ACK),
    (Chunk.SHUTDOWN_ACK, Chunk.HEARTBEAT),
    (Chunk.COOKIE_ECHO, Chunk.COOKIE_ACK),
    (Chunk.INIT_ACK, Chunk.COOKIE_ECHO),
    (Chunk.SHUTDOWN, Chunk.SHUTDOWN_ACK),
    (Chunk.ERROR, Chunk.HEARTBEAT),
    (Chunk.DATA, Chunk.DATA),
]
"""What one side says first, and what the other answers where it hears that."""

HANDSHAKE = [
    (Speaker.CLIENT, Chunk.INIT),
    (Speaker.SERVER, Chunk.INIT_ACK),
    (Speaker.CLIENT, Chunk.COOKIE_ECHO),
    (Speaker.SERVER, Chunk.COOKIE_ACK),
]
OTHER = {Speaker.CLIENT: Speaker.SERVER, Speaker.SERVER: Speaker.CLIENT}
STRANGERS = ("y/job", "y/other", "outside/client")
"""A pod beside x/web, one of another node, and a host outside."""
CLIENTS = (*STRANGERS, "x/api")


@dataclass(frozen=True, slots=True)
class Association:
    """An SCTP association, as far as connection tracking can tell: its ends are raw sockets."""

    client: Endpoint
    server: Endpoint
    source_port: int
    port: int

    def end(self, speaker: Speaker) -> Endpoint:
        """Where this side lives."""
        return self.client if speaker is Speaker.CLIENT else self.server

    def packet(self, speaker: Speaker, chunk: Chunk) -> bytes:
        """What the side sends to say this, after its IP header."""
        kind, body = chunk.value
        ports, tag = (self.source_port, self.port), SERVER_TAG
        if speaker is Speaker.SERVER:
            ports, tag = (self.port, self.source_port), CLIENT_TAG
        header = sctp.COMMON_HEADER.pack(*ports, 0 if chunk is Chunk.INIT else tag)
        text = sctp.CHUNK_HEADER.pack(kind, 0, sctp.CHUNK_HEADER.size + len(body)) + body
        return header + struct.pack("<I", sctp.crc32c(header + bytes(4) + text)) + text


Saying = tuple[Association, Speaker, Chunk]


class Sockets:
    """A raw socket at each of these endpoints, which sends and hears for all associations there."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._open = {end: open_socket(end, socket.SOCK_RAW, socket.IPPROTO_SCTP) for end in endpoints}
        for end, opened in self._open.items():
            opened.bind((str(end.address), 0))

    def close(self) -> None:
        """Nobody hears any more."""
        for each in self._open.values():
            each.close()

    def heard(self, *said: Saying) -> list[bool]:
        """All of this is said at once: whether the other side hears it."""
        self._read()
        for association, speaker, chunk in said:
            with losing_what_is_refused():
                to = str(association.end(OTHER[speaker]).address)
                self._open[association.end(speaker)].sendto(association.packet(speaker, chunk), (to, 0))
        wanted = [
            (association.end(OTHER[speaker]), association.packet(speaker, chunk))
            for association, speaker, chunk in said
        ]
        found: set[tuple[Endpoint, bytes]] = set()
        end = time.monotonic() + HEARING_SECONDS
        while not found.issuperset(wanted) and time.monotonic() < end:
            found |= self._read()
            time.sleep(0.01)
        return [each in found for each in wanted]

    def establish(self, *opened: Association) -> None:
        """Each association is open, and each side hears the other."""
        for speaker, chunk in HANDSHAKE:
            assert all(self.heard(*((each, speaker, chunk) for each in opened))), chunk
        assert self.live(*opened)

    def live(self, *opened: Association) -> bool:
        """True where each side of each hears what the other sends."""
        talk = [(speaker, chunk) for chunk in (Chunk.DATA, Chunk.HEARTBEAT) for speaker in Speaker]
        return all(all(self.heard(*((each, *saying) for each in opened))) for saying in talk)

    def _read(self) -> set[tuple[Endpoint, bytes]]:
        """All that has arrived."""
        found = set()
        for end, opened in self._open.items():
            with suppress(BlockingIOError):
                while True:
                    found.add((end, payload(opened.recv(4096), end)))
        return found


@pytest.fixture(name="sockets")
def _sockets(cluster: Cluster) -> Iterator[Sockets]:
    with closing(
        Sockets(cluster.lab.endpoint(name, family) for name in (*CLIENTS, "x/web") for family in Family)
    ) as opened:
        yield opened


def association(cluster: Cluster, source: str, family: Family, port: int) -> Association:
    """One from there to x/web."""
    client, server = (cluster.lab.endpoint(name, family) for name in (source, "x/web"))
    return Association(client, server, client.namespace.fresh_source_port(), port)


@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
def test_a_cut_association_stays_cut(cluster: Cluster, sockets: Sockets, first: Speaker) -> None:
    cluster.enforce()
    attempts = {
        association(cluster, source, family, 3000 + number): revival
        for family in Family
        for source in STRANGERS
        for number, revival in enumerate(REVIVALS)
    }
    sockets.establish(*attempts)
    cluster.enforce(API_ONLY)
    for stage in (
        [(each, first, begun) for each, (begun, _) in attempts.items()],
        [(each, OTHER[first], answered) for each, (_, answered) in attempts.items()],
        *([(each, speaker, Chunk.DATA) for each in attempts] for speaker in Speaker),
    ):
        heard = sockets.heard(*stage)
        assert [saying for saying, was_heard in zip(stage, heard, strict=True) if was_heard] == []


def test_an_association_that_is_allowed_opens_and_lives_on(cluster: Cluster, sockets: Sockets) -> None:
    cluster.enforce()
    opened = [association(cluster, "x/api", family, 3000) for family in Family]
    sockets.establish(*opened)
    cluster.enforce(API_ONLY)
    assert sockets.live(*opened)
    sockets.establish(*(association(cluster, "x/api", family, 3001) for family in Family))
