"""Packets with a mark taken for the node's own, whatever their address: so they come to its IPVS.

An address on a link would do that too, but then the answers of pods, which come from it, would be taken for forged.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from netpol.dataplane.address_messages import LOOPBACK
from netpol.dataplane.netlink import NETLINK_ROUTE, Request
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel import route_messages as messages
from proxy.names import is_our_mark

TABLE = 78
"""kube-router's number: what is left of it is replaced."""
_PRIORITY = 78
"""Before the rules that others give traffic of a node; only the table of its own addresses comes earlier."""

_IPV6 = Path("/proc/thread-self/net/if_inet6")
"""Absent where the kernel has no IPv6."""


class MarkRoutes(NetlinkClient):
    """Routes of marks in the network namespace of the thread that makes it; for one thread."""

    def __init__(self) -> None:
        super().__init__("routes", {}, NETLINK_ROUTE)

    def ensure(self, marks: Collection[int]) -> int:
        """Packets with exactly these marks of ours are the node's own, in each family that the kernel has.

        Returns how many rules and routes had to come or go for that.
        """
        for mark in marks:
            if not is_our_mark(mark):
                raise KernelRefusal(f"mark {mark:#x} cannot be routed: it is not one of the proxy's")
        families = tuple(Family) if _IPV6.exists() else (Family.IPV4,)
        return sum(self._ensure(family, frozenset(marks)) for family in families)

    def _ensure(self, family: Family, marks: frozenset[int]) -> int:
        held, changed = self._held(family), 0
        if marks:
            changed += self._change([messages.add_local_route_request(family, TABLE, LOOPBACK)], (errno.EEXIST,))
        changed += self._change(
            [messages.add_rule_request(family, mark, TABLE, _PRIORITY) for mark in sorted(marks - set(held))],
            (errno.EEXIST,),
        )
        # A rule that stands twice is held twice, and removed as often.
        changed += self._change(
            [messages.remove_rule_request(family, mark, TABLE) for mark in held if mark not in marks],
            (errno.ENOENT,),
        )
        if not marks:
            gone = errno.ESRCH, errno.ENOENT
            changed += self._change([messages.remove_local_route_request(family, TABLE, LOOPBACK)], gone)
        return changed

    def _held(self, family: Family) -> Sequence[int]:
        with self._refusing("routing rules cannot be read"):
            answers = self._netlink.dump(messages.rules_request(family))
        marks = (messages.decode_mark(answer, TABLE) for answer in answers)
        return [mark for mark in marks if mark is not None and is_our_mark(mark)]

    def _change(self, requests: Iterable[Request], harmless: Collection[int]) -> int:
        """How many of the requests changed anything: what is refused without harm was so already."""
        changed = 0
        with self._refusing("marks cannot be routed to this node"):
            for refusal in self._netlink.call_all(requests):
                if refusal is None:
                    changed += 1
                elif refusal.number not in harmless:
                    raise refusal
        return changed
