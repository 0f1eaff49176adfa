"""What is known of a logged packet: its opening fields, as the network carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from netpol.model.moments import Moment
from netpol.model.networks import Address


class Packet(NamedTuple):
    """The fields that policies look at; ports are None for protocols that have none, `icmp_type` for all but ICMP.

    `protocol` is the number of the innermost header that was found: 6 is TCP, 58 is ICMPv6.
    """

    source: Address
    destination: Address
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """Packets alike in all but their source port and time that met the same logging rule; the first is described."""

    prefix: str
    packet: Packet
    count: int
    first: Moment
    last: Moment
