"""Asking a server who it is."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Self

from vm.dialects import Dialect, echo
from vm.servers import KINDS, MOST_BYTES, Reply

from netpol.lab.listeners import AF
from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint
from netpol.model.networks import Address, family_of
from netpol.model.ports import Protocol

PATIENCE_SECONDS = 5.0


class Conversation:
    """A connection that is opened at once and can be used time and again; `own_port` is its client's, if given."""

    def __init__(
        self,
        source: Endpoint,
        address: Address,
        port: int,
        protocol: Protocol = Protocol.TCP,
        *,
        dialect: Dialect = echo,
        seconds: float = PATIENCE_SECONDS,
        own_port: int = 0,
    ) -> None:
        with source.namespace.entered():
            self._socket = socket.socket(AF[family_of(address)], *KINDS[protocol])
        self._dialect = dialect
        self._socket.settimeout(seconds)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((str(source.address), own_port))
        self.opening = _outcome(lambda: self._socket.connect((str(address), port)))
        """What came of opening it: REACHED, SILENT or REFUSED; UDP always opens."""

    def ask(self) -> Reply | Outcome:
        """What the server answered; SILENT or REFUSED where it did not, REFUSED also where it hung up."""
        if self.opening is not Outcome.REACHED:
            return self.opening
        heard: list[Reply] = []
        outcome = _outcome(lambda: heard.append(self._dialect(self._socket)))
        return heard[0] if outcome is Outcome.REACHED else outcome

    def finish(self) -> None:
        """It is closed, from this side first, and the other side has done so too; of TCP."""
        self._socket.shutdown(socket.SHUT_WR)
        assert self._socket.recv(MOST_BYTES) == b""
        self._socket.close()

    def close(self) -> None:
        """It is closed from this side."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(
    source: Endpoint,
    address: Address,
    port: int,
    protocol: Protocol = Protocol.TCP,
    *,
    dialect: Dialect = echo,
    seconds: float = PATIENCE_SECONDS,
) -> Reply | Outcome:
    """What came of one question on a connection of its own."""
    with Conversation(source, address, port, protocol, dialect=dialect, seconds=seconds) as asked:
        return asked.ask()


def answering(
    source: Endpoint,
    address: Address,
    port: int,
    protocol: Protocol = Protocol.TCP,
    *,
    times: int,
    dialect: Dialect = echo,
) -> Counter[str]:
    """How often each pod answered so many questions, each on a connection of its own; every one must be answered."""
    replies = [ask(source, address, port, protocol, dialect=dialect) for _ in range(times)]
    unanswered = [reply for reply in replies if isinstance(reply, Outcome)]
    assert not unanswered, unanswered
    return Counter(reply.name for reply in replies if isinstance(reply, Reply))


def _outcome(attempt: Callable[[], None]) -> Outcome:
    try:
        attempt()
    except TimeoutError:
        return Outcome.SILENT
    except OSError:
        # Refused, reset, or unreachable as a router or the own side's firewall says.
        return Outcome.REFUSED
    return Outcome.REACHED
