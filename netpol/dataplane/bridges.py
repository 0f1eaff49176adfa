"""Bridges whose packets the kernel may keep from iptables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from netpol.model.networks import Family

BRIDGE_CALLS = {
    Family.IPV4: "net/bridge/bridge-nf-call-iptables",
    Family.IPV6: "net/bridge/bridge-nf-call-ip6tables",
}
"""The sysctls that send bridged packets through the rules of a family; br_netfilter brings them."""


def bridges_with_ports(links: Path = Path("/sys/class/net")) -> tuple[str, ...]:
    """The names of the bridges that have something plugged into them."""
    return tuple(sorted({port.resolve().name for port in links.glob("*/brport/bridge")}))


def unfiltered(families: Iterable[Family], settings: Path = Path("/proc/sys")) -> tuple[str, ...]:
    """The sysctls, with dots, that keep bridged packets of these families from every rule."""
    return tuple(
        BRIDGE_CALLS[family].replace("/", ".") for family in families if _value(settings / BRIDGE_CALLS[family]) != "1"
    )


def _value(setting: Path) -> str | None:
    """What the sysctl is; None where the kernel has none: nothing is filtered then either."""
    try:
        return setting.read_text().strip()
    except OSError:
        return None
