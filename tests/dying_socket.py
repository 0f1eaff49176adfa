"""Netlink sockets that fail after they were opened: nothing reaches the kernel, or nothing comes back."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from functools import partial

import pytest


@dataclass(frozen=True, slots=True)
class Death:
    """What a socket refuses: to send, or to receive; and what is said of it, or of a dump that it interrupts."""

    sends: bool
    trouble: OSError
    says: str


DEATHS = {
    "nothing can be sent": Death(False, OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
    "sending never ends": Death(False, TimeoutError("timed out"), "the kernel did not answer"),
    "the answer is lost": Death(
        True, OSError(errno.ENOBUFS, "No buffer space available"), "(was|were) lost|kept changing"
    ),
    "no answer comes": Death(True, TimeoutError("timed out"), "the kernel did not answer"),
}


class _DyingSocket(socket.socket):
    def __init__(self, death: Death, *arguments: int) -> None:
        super().__init__(*arguments)
        self.death = death

    def send(self, data: object, flags: int = 0, /) -> int:  # noqa: ARG002  socket's own signature
        if not self.death.sends:
            raise self.death.trouble
        return 0

    def recvmsg_into(self, *_: object) -> tuple[int, list[tuple[int, int, bytes]], int, object]:
        raise self.death.trouble


def bury(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    """Every socket opened from now on dies so."""
    monkeypatch.setattr(socket, "socket", partial(_DyingSocket, death))
