"""Packets of our own that the kernel logs, so that their numbers show what was lost before them.

The numbers of packets that the kernel had no room for show as a gap before the next one that
arrives. After the last packet of a flood none arrives: so one is made. The kernel is told that
a datagram from one port of ours to another, over loopback, answers a flow that was cut (G11);
it is sent, and our rules log it and drop it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address

from netpol.audit.capture.frames import Frame
from netpol.compiler.gates import cut_set
from netpol.compiler.ruleset import AddressPortAddress
from netpol.dataplane.ipset import NetlinkSets
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol

_LOOPBACK = {Family.IPV4: (socket.AF_INET, "127.0.0.1"), Family.IPV6: (socket.AF_INET6, "::1")}
SECRET_BYTES = 16
"""So many random ones nobody guesses."""
_NUMBER_BYTES = 4


class Soundings:
    """The packets of our own, which nobody else can make: each holds the secret, and its number.

    `is_logged` sends one, and tells whether the kernel logged it.
    """

    def __init__(self, secret: bytes, is_logged: Callable[[Family, bytes], bool]) -> None:
        self.lost = 0
        """Those known to be lost themselves; the kernel numbered them too."""
        self._secret = secret
        self._is_logged = is_logged
        self._sent = 0
        self._awaited: list[int] = []

    @property
    def awaited(self) -> int:
        """How many were sent of which it is not known yet what became of them."""
        return len(self._awaited)

    def send(self) -> None:
        """One more is logged, where our rules are in the kernel and loopback has an address; else nothing happens."""
        self._sent += 1
        text = self._secret + self._sent.to_bytes(_NUMBER_BYTES, "big")
        if any(self._is_logged(family, text) for family in Family):
            self._awaited.append(self._sent)

    def take_out(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """The frames but those of our own; what was sent before one of these and has not come is lost."""
        if not self._awaited:
            return frames
        others = []
        for frame in frames:
            start = frame.packet.find(self._secret)
            if start < 0:
                others.append(frame)
                continue
            end = start + len(self._secret)
            self._arrived(int.from_bytes(frame.packet[end : end + _NUMBER_BYTES], "big"))
        return others

    def give_up(self) -> None:
        """None is waited for any longer: somebody else's rule dropped it before ours."""
        self._awaited.clear()

    def _arrived(self, number: int) -> None:
        self.lost += sum(each < number for each in self._awaited)
        self._awaited = [each for each in self._awaited if each > number]


def is_logged(family: Family, text: bytes) -> bool:
    """The text is sent over loopback; True where a rule logged and dropped it, which the kernel says to the sender."""
    kind, address = _LOOPBACK[family]
    with ExitStack() as stack, suppress(KernelRefusal):
        sets = stack.enter_context(NetlinkSets())
        sender, receiver = (stack.enter_context(socket.socket(kind, socket.SOCK_DGRAM)) for _ in range(2))
        try:
            for end in (sender, receiver):
                end.bind((address, 0))
            sender.connect(receiver.getsockname())
            packed = ip_address(address).packed
            member = AddressPortAddress(packed, Protocol.UDP, sender.getsockname()[1], packed)
            sets.add(cut_set(family), (member,))
            stack.callback(_forget, sets, family, member)
            sender.send(text)
        except OSError as refused:
            return refused.errno == errno.EPERM
    return False


def _forget(sets: NetlinkSets, family: Family, member: AddressPortAddress) -> None:
    """The port is anybody's again; where that is refused the kernel forgets it by itself."""
    with suppress(KernelRefusal):
        sets.remove(cut_set(family), (member,))
