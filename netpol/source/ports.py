"""Port entries of policy rules (B9, V6, V8)."""

from __future__ import annotations

import re
from typing import TypeGuard

from netpol.model.policies import Semantics
from netpol.model.ports import (
    ALL_PORTS,
    FIRST_PORT,
    LAST_PORT,
    PROTOCOLS_WITH_PORTS,
    NamedPort,
    NumericPorts,
    PortEntry,
    PortRange,
    Protocol,
)
from netpol.source.fields import FieldPath, Fields, Reading, is_integer, shown

_FIELDS = {Semantics.ANNOTATION: ("protocol", "port"), Semantics.V1: ("protocol", "port", "endPort")}
_PROTOCOLS = {
    Semantics.ANNOTATION: {name: PROTOCOLS_WITH_PORTS[name] for name in ("TCP", "UDP")},
    Semantics.V1: PROTOCOLS_WITH_PORTS,
}
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")


def is_port(value: object) -> TypeGuard[int]:
    """True for the number of a port.

    >>> is_port(65535), is_port(0), is_port(True), is_port("80")
    (True, False, False, False)
    """
    return is_integer(value) and FIRST_PORT <= value <= LAST_PORT


def is_port_name(text: str) -> bool:
    """True for a service name of RFC 6335, which a container's port may be called.

    >>> is_port_name("http-2"), is_port_name("80"), is_port_name("a--b")
    (True, False, False)
    """
    return _PORT_NAME.fullmatch(text) is not None


def decode_port(value: object, at: FieldPath, semantics: Semantics, reading: Reading) -> PortEntry | None:
    """The port entry, or None where any part of it is not understood: it then matches nothing (M7, V8)."""
    if not isinstance(value, dict):
        reading.wrong(at, f"must be a port entry, not {shown(value)}")
        return None
    if not reading.only(value, at, _FIELDS[semantics]):
        return None
    protocol = _protocol(value, at, semantics, reading)
    if protocol is None:
        return None
    port, end = value.get("port"), value.get("endPort")
    if isinstance(port, str):
        return _named(port, protocol, end, at, reading)
    if port is None:
        ports = ALL_PORTS
    elif is_port(port):
        ports = PortRange(port, port)
    else:
        reading.wrong((*at, "port"), f"must be a port from 1 to 65535 or a port's name, not {shown(port)}")
        return None
    if end is None:
        return NumericPorts(protocol, ports)
    if port is None:
        reading.wrong((*at, "endPort"), "needs a port to start from")
        return None
    if not is_port(end) or end < ports.first:
        reading.wrong((*at, "endPort"), f"must be a port from {ports.first} to {LAST_PORT}, not {shown(end)}")
        return None
    return NumericPorts(protocol, PortRange(ports.first, end))


def _protocol(entry: Fields, at: FieldPath, semantics: Semantics, reading: Reading) -> Protocol | None:
    """The entry's protocol, TCP where it names none; an unknown one is never taken for TCP (V8)."""
    name = entry.get("protocol")
    if name is None:
        return Protocol.TCP
    known = _PROTOCOLS[semantics]
    if isinstance(name, str) and name in known:
        return known[name]
    reading.wrong((*at, "protocol"), f"must be {' or '.join(known)}, not {shown(name)}")
    return None


def _named(name: str, protocol: Protocol, end: object, at: FieldPath, reading: Reading) -> NamedPort | None:
    if not is_port_name(name):
        reading.wrong((*at, "port"), f"{shown(name)} is no name of a port")
        return None
    if end is not None:
        reading.wrong((*at, "endPort"), "needs a port by number, not by name")
        return None
    return NamedPort(protocol, name)
