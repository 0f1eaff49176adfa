"""New connections between pods, one after the other without a pause, to find a wrong verdict of any moment."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Self

from netpol.lab.listeners import Place, losing_what_is_refused, open_socket
from netpol.lab.prober import Probe
from netpol.lab.topology import Endpoint
from netpol.model.ports import Protocol

TOTAL_RETRANS_OFFSET = 100
"""Where `struct tcp_info` has the number of segments sent again."""

ROUNDS_PER_TCP_OPENING = 4
SETTLING_SECONDS = 0.3
BACKLOG = 4096
BUFFER_BYTES = 1 << 22


class Streams:
    """Openings of TCP or UDP for each of the questions, every one from a port of its own and sent once.

    `sent` and `arrived` count them. TCP repeats a lost SYN after a second; such a connection counts as one whose
    opening did not arrive.
    """

    def __init__(self, questions: Iterable[Probe]) -> None:
        self._open = ExitStack()
        self._questions = list(questions)
        self._listening: dict[Place, socket.socket] = {}
        self._rounds = 0
        self._connecting: list[tuple[Probe, socket.socket]] = []
        self.sent = dict.fromkeys(self._questions, 0)
        self.arrived = dict.fromkeys(self._questions, 0)
        for place in dict.fromkeys(question.place for question in self._questions):
            self._listening[place] = self._open.enter_context(_listening(place))

    def open_round(self) -> None:
        """One more opening of each question has left; of TCP, whose every opening stays open, in one round of a few."""
        self._rounds += 1
        for number, question in enumerate(self._questions):
            if question.place.protocol is Protocol.TCP and self._rounds % ROUNDS_PER_TCP_OPENING:
                continue
            self.sent[question] += 1
            where = (str(question.place.endpoint.address), question.place.port)
            if question.place.protocol is Protocol.TCP:
                opened = self._open.enter_context(_bound(question.source, socket.SOCK_STREAM))
                opened.connect_ex(where)
                self._connecting.append((question, opened))
            else:
                with _bound(question.source, socket.SOCK_DGRAM) as opened, losing_what_is_refused():
                    opened.sendto(bytes([number]), where)
        self._take_arrived()

    def finish(self) -> None:
        """Whatever is still on its way has arrived, or never will."""
        time.sleep(SETTLING_SECONDS)
        self._take_arrived()
        for question, opened in self._connecting:
            self.arrived[question] += _opened_at_once(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _take_arrived(self) -> None:
        for place, listening in self._listening.items():
            if place.protocol is Protocol.TCP:
                continue
            with suppress(BlockingIOError):
                while True:
                    self.arrived[self._questions[listening.recv(1)[0]]] += 1


def _listening(place: Place) -> socket.socket:
    kind = socket.SOCK_STREAM if place.protocol is Protocol.TCP else socket.SOCK_DGRAM
    opened = open_socket(place.endpoint, kind)
    if place.protocol is Protocol.TCP:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    opened.bind((str(place.endpoint.address), place.port))
    if place.protocol is Protocol.TCP:
        opened.listen(BACKLOG)
    return opened


def _bound(source: Endpoint, kind: socket.SocketKind) -> socket.socket:
    opened = open_socket(source, kind)
    opened.bind((str(source.address), source.namespace.fresh_source_port()))
    return opened


def _opened_at_once(opened: socket.socket) -> bool:
    try:
        opened.getpeername()
    except OSError:
        return False
    known = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANS_OFFSET + 4)
    (sent_again,) = struct.unpack_from("=I", known, TOTAL_RETRANS_OFFSET)
    return bool(sent_again == 0)
