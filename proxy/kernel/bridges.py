"""Ports of bridges that send a packet back where it came from, for pods that reach themselves through a service.

The answer to a masqueraded client behind the same port is translated back while br_netfilter still has it in the
bridge: it is bridged then, not routed, and a bridge sends nothing out of the port it came in by without this mode.

pyroute2 is imported where a pod is to reach itself, and not before: that takes a quarter of a second, which an agent
that starts again has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from netpol.errors import KernelRefusal
from netpol.model.networks import Address

_HAIRPIN = 1


class NetlinkBridges:
    """`kernel.Bridges`, in the network namespace of the thread that uses it."""

    def let_return(self, pods: Iterable[Address]) -> int:
        """Every port of the bridges behind which these pods are has the mode; returns how many had not."""
        wanted = list(pods)
        if not wanted:
            return 0
        from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415  its cost, see above
        from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415  its cost, see above

        try:
            with cast(Callable[[], Any], IPRoute)() as netlink:
                bridges = {_link_to(netlink, pod) for pod in wanted}
                changed = [port for port in _ports(netlink) if port["master"] in bridges and not port["mode"]]
                for port in changed:
                    netlink.brport("set", index=port["index"], mode=_HAIRPIN)
        except (NetlinkError, OSError) as refused:
            raise KernelRefusal(f"bridge ports cannot be made to return packets: {refused}") from refused
        return len(changed)


def _link_to(netlink: Any, pod: Address) -> int | None:
    """The index of the link by which packets to the pod leave; None where there is no way to it."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415  its cost, see above

    try:
        routes = netlink.route("get", dst=str(pod))
    except NetlinkError:
        return None
    return next((route.get_attr("RTA_OIF") for route in routes), None)


def _ports(netlink: Any) -> Iterator[dict[str, int]]:
    """Each port of a bridge: its index, its bridge's, and its mode."""
    for link in netlink.get_links():
        master, info = link.get_attr("IFLA_MASTER"), link.get_attr("IFLA_LINKINFO")
        if master is None or info is None or info.get_attr("IFLA_INFO_SLAVE_KIND") != "bridge":
            continue
        mode = info.get_attr("IFLA_INFO_SLAVE_DATA").get_attr("IFLA_BRPORT_MODE")
        yield {"index": link["index"], "master": master, "mode": mode}
