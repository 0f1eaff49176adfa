"""Ports of bridges that send a packet back where it came from, for pods that reach themselves through a service.

The answer to a masqueraded client behind the same port is translated back while br_netfilter still has it in the
bridge: it is bridged then, not routed, and a bridge sends nothing out of the port it came in by without this mode.
"""

from __future__ import annotations

from collections.abc import Iterable

from netpol.model.networks import Address
from proxy.kernel.links import NetlinkLinks


class NetlinkBridges:
    """`protocols.Bridges`, in the network namespace of the thread that uses it."""

    def let_return(self, pods: Iterable[Address]) -> int:
        """Every port of the bridges behind which these pods are has the mode; returns how many had not."""
        wanted = list(pods)
        if not wanted:
            return 0
        with NetlinkLinks() as links:
            bridges = {link.number for link in map(links.towards, wanted) if link is not None}
            lacking = [port for port in links.bridge_ports() if port.bridge in bridges and not port.returns]
            links.return_packets(lacking)
        return len(lacking)
