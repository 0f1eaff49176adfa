"""What the kernel should come to hold after an event, worked out beside the agent, and the moment at which it does."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from netpol.compiler.engine import Engine, Touched
from netpol.compiler.ruleset import IpSet, Rule, Ruleset
from netpol.dataplane.ipset import NetlinkSets
from netpol.errors import KernelRefusal
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Family
from netpol.model.policies import Semantics
from netpol.settings import NodeOptions
from netpol.source.objects import decode_namespace, decode_node, decode_pod
from netpol.source.policies import decode_policy

Manifest = dict[str, Any]

PATIENCE_SECONDS = 20.0
_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP = 12, 270, 1, 7
_NEW_GENERATION = 10 << 8 | 15


class Late(Exception):
    """The kernel did not come to hold what it should."""


class Mirror:
    """An engine that is told what the API server is told, and a look at the kernel of this network namespace."""

    def __init__(self, node: str) -> None:
        self._engine = Engine(NodeOptions(node))
        self._sets = NetlinkSets()
        self._transactions = _Transactions()
        self._chains: dict[Family, dict[str, tuple[Rule, ...]]] = {family: {} for family in Family}
        self._awaited = 0

    def apply(self, *events: tuple[str, Manifest]) -> Touched:
        """The events have happened; returns what of the kernel should change by them."""
        touched = self._engine.apply([fact(*event) for event in events])
        for family, table in self._engine.part(touched).tables.items():
            known = self._chains[family]
            after = {name: table.chains[name] for name in touched.chains if name in table.chains}
            before = {name: known[name] for name in touched.chains if name in known}
            self._awaited += before != after
            for name in touched.chains:
                known.pop(name, None)
            known.update(after)
        return touched

    def ruleset(self) -> Ruleset:
        """All that the kernel should hold."""
        return self._engine.ruleset()

    @property
    def transactions(self) -> int:
        """How many tables were written since the counting began."""
        return self._transactions.count

    def start_counting(self) -> None:
        """Transactions count from here on."""
        self._transactions.drain()
        self._transactions.count = self._awaited = 0

    def wait(self, touched: Touched) -> int:
        """The moment, in nanoseconds of CLOCK_MONOTONIC, at which the kernel was seen to hold what was touched."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        left = self._engine.part(touched).sets
        left = {name: each for name, each in left.items() if each.is_ours_to_fill}
        while time.monotonic() < deadline:
            for name in list(left):
                if not self._holds(left[name]):
                    break
                del left[name]
            self._transactions.drain()
            if not left and self._transactions.count >= self._awaited:
                return time.monotonic_ns()
            time.sleep(0.0002)
        raise Late(f"{len(left)} sets, {self._transactions.count} of {self._awaited} tables")

    def _holds(self, wanted: IpSet) -> bool:
        try:
            return self._sets.read_members(wanted) == wanted.members
        except KernelRefusal:
            return False


class _Transactions:
    """The nf_tables transactions of this network namespace, as the kernel announces them."""

    def __init__(self) -> None:
        self.count = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP)
        self._socket.setblocking(False)

    def drain(self) -> None:
        """Count those that were announced."""
        while True:
            try:
                datagram = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            offset = 0
            while offset + 16 <= len(datagram):
                length, kind = struct.unpack_from("=IH", datagram, offset)
                self.count += kind == _NEW_GENERATION
                offset += (length + 3) & ~3


def fact(action: str, manifest: Manifest) -> Fact:
    """What a watcher would record of the event."""
    kind, metadata = Kind(manifest["kind"]), manifest["metadata"]
    key = Key(kind, metadata.get("namespace", ""), metadata["name"])
    if action == "delete":
        return Fact(key, None)
    match kind:
        case Kind.POD:
            return Fact(key, decode_pod(manifest))
        case Kind.NODE:
            return Fact(key, decode_node(manifest))
        case Kind.NAMESPACE:
            return Fact(key, decode_namespace(manifest, strict_annotations=False)[0])
        case Kind.NETWORK_POLICY:
            return Fact(key, decode_policy(manifest, Semantics.V1)[0])
        case Kind.SERVICE | Kind.ENDPOINT_SLICE:
            raise ValueError(f"a firewall follows no {kind.value}")
