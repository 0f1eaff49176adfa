"""The kernel settings that services need, in /proc/sys, and what they were before.

What they were is written into the service link's alias: the next process finds it there, and it goes with the link.
Where somebody has deleted the link, the alias of the next one says the same, as far as this process knows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel.links import NetlinkLinks
from proxy.names import LINK

_ROOT = Path("/proc/sys")
_IPVS = "net.ipv4.vs"
_CONNTRACK = f"{_IPVS}.conntrack"
FORWARDING = frozenset({"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"})
"""Pods need these whether there is a proxy or not: they are never taken back."""

_REUSE_SINCE = (5, 9)
"""The version of Linux since which a port that is used again does not wait a second for its new connection."""

_MARK = "netpol-1"
"""What an alias of ours begins with; the number is of its form."""
_PREFIX = "net.ipv4."
_ALIAS_BYTES = 255


def node_sysctls(families: Collection[Family], release: str) -> Mapping[str, str]:
    """What a node's settings should be, for a kernel of this release (`uname -r`).

    IPv6 is forwarded only where it is proxied: a node that forwards it takes no more routes from routers.
    """
    version = tuple(map(int, re.findall(r"\d+", release)[:2]))
    settings = {
        # The firewall judges what a connection was translated to, and answers are translated back, by conntrack.
        _CONNTRACK: "1",
        # Connections to an endpoint that is gone end; without it their packets are dropped for minutes.
        f"{_IPVS}.expire_nodest_conn": "1",
        # A client does not stay with an endpoint that is drained.
        f"{_IPVS}.expire_quiescent_template": "1",
        f"{_IPVS}.conn_reuse_mode": "1" if version >= _REUSE_SINCE else "0",
    }
    if Family.IPV4 in families:
        # Service addresses are on every node: none says so to its neighbours.
        settings |= {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
        settings["net.ipv4.ip_forward"] = "1"
    if Family.IPV6 in families:
        settings["net.ipv6.conf.all.forwarding"] = "1"
    return settings


class ProcSysctls:
    """`protocols.Sysctls`, in the network namespace of the thread that makes and uses it.

    Those that this kernel has not are passed over.
    """

    def __init__(self, wanted: Mapping[str, str], link: str = LINK, kept: Collection[str] = FORWARDING) -> None:
        self._wanted = wanted
        self._link = link
        self._kept = kept
        self._before: dict[str, str] = {}

    def drift(self) -> Mapping[str, str]:
        """The settings that are not as they should be, and what they should be."""
        found = self._read()
        return {name: value for name, value in self._wanted.items() if found.get(name, value) != value}

    def ensure(self) -> None:
        """They are as they should be; what they were is remembered, where the next process finds it."""
        if _CONNTRACK in self._wanted and _path(_IPVS).exists() and not _path(_CONNTRACK).exists():
            raise KernelRefusal(f"{_CONNTRACK} cannot be set: the kernel was built without CONFIG_IP_VS_NFCT")
        found = self._read()
        self._remember({name: value for name, value in found.items() if name not in self._kept})
        _write({name: value for name, value in self._wanted.items() if found.get(name, value) != value})

    def restore(self) -> None:
        """They are what they were, but for those that somebody else has changed since, or that are kept."""
        with NetlinkLinks() as links:
            link = links.find(self._link)
            if link is None or not link.alias.startswith(_MARK):
                return
            found, before = self._read(), _remembered(link.alias)
            _write(
                {
                    name: value
                    for name, value in before.items()
                    if name in found and found[name] == self._wanted[name] != value
                }
            )
            links.set_alias(link, "")
            self._before = {}

    def _read(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self._wanted:
            try:
                found[name] = _path(name).read_text(encoding="ascii").strip()
            except FileNotFoundError:
                continue
            except OSError as refused:
                raise KernelRefusal(f"{name} cannot be read: {refused.strerror}") from refused
        return found

    def _remember(self, found: Mapping[str, str]) -> None:
        """The alias says what was found, but for what it says already."""
        with NetlinkLinks() as links:
            link = links.find(self._link)
            if link is None:
                raise KernelRefusal(f"kernel settings cannot be remembered: there is no link {self._link}")
            self._before = {**found, **self._before, **_remembered(link.alias)}
            alias = _alias(self._before)
            if alias != link.alias:
                links.set_alias(link, alias)


def _write(values: Mapping[str, str]) -> None:
    """All are tried; KernelRefusal names those that the kernel does not take."""
    refused: list[str] = []
    for name, value in values.items():
        try:
            _path(name).write_text(value, encoding="ascii")
        except OSError as refusal:
            refused.append(f"{name} to {value} ({refusal.strerror})")
    if refused:
        raise KernelRefusal(f"kernel settings cannot be set: {', '.join(refused)}")


def _path(name: str) -> Path:
    return _ROOT / name.replace(".", "/")


def _alias(before: Mapping[str, str]) -> str:
    """What is to be found again, in a form that has a version.

    >>> _alias({"net.ipv4.vs.conntrack": "0"})
    'netpol-1 vs.conntrack=0'
    """
    alias = " ".join([_MARK, *(f"{name.removeprefix(_PREFIX)}={value}" for name, value in sorted(before.items()))])
    if len(alias) > _ALIAS_BYTES:
        raise KernelRefusal(f"kernel settings cannot be remembered: {alias} is too long")
    return alias


def _remembered(alias: str) -> dict[str, str]:
    """What an alias says; nothing where it is somebody else's.

    >>> _remembered("netpol-1 net.ipv6.a=2 vs.conntrack=0"), _remembered("uplink=1")
    ({'net.ipv6.a': '2', 'net.ipv4.vs.conntrack': '0'}, {})
    """
    mark, *words = alias.split(" ")
    pairs = (word.partition("=") for word in words)
    if mark != _MARK:
        return {}
    return {name if name.startswith("net.") else _PREFIX + name: value for name, _, value in pairs if value.isdecimal()}
