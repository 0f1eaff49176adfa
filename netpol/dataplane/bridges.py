"""Bridges whose packets the kernel may keep from iptables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from netpol.listing import listed
from netpol.model.networks import Family

BRIDGE_CALLS = {
    Family.IPV4: "net/bridge/bridge-nf-call-iptables",
    Family.IPV6: "net/bridge/bridge-nf-call-ip6tables",
}
"""The sysctls that send bridged packets through the rules of a family; br_netfilter brings them."""

_MOST_BRIDGES = 3


def bridges_with_ports(links: Path = Path("/sys/class/net")) -> tuple[str, ...]:
    """The names of the bridges that have something plugged into them."""
    return tuple(sorted({port.resolve().name for port in links.glob("*/brport/bridge")}))


def unfiltered(families: Iterable[Family], settings: Path = Path("/proc/sys")) -> tuple[str, ...]:
    """The sysctls, with dots, that keep bridged packets of these families from every rule."""
    return tuple(
        BRIDGE_CALLS[family].replace("/", ".") for family in families if _value(settings / BRIDGE_CALLS[family]) != "1"
    )


class Unseen(NamedTuple):
    """Bridges, in words, between whose ports packets meet no rule at all, and what shows them to the rules."""

    bridges: str
    mend: str


def unseen(families: Iterable[Family], root: Path = Path("/")) -> Unseen | None:
    """The bridges that keep packets between pods from the rules of these families; None where none does."""
    bridges, settings = bridges_with_ports(root / "sys/class/net"), unfiltered(families, root / "proc/sys")
    if not bridges or not settings:
        return None
    return Unseen(listed(bridges, _MOST_BRIDGES), "sysctl -w " + " ".join(f"{name}=1" for name in settings))


def _value(setting: Path) -> str | None:
    """What the sysctl is; None where the kernel has none: nothing is filtered then either."""
    try:
        return setting.read_text().strip()
    except OSError:
        return None
