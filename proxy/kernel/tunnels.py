"""Direct return: marked packets come to this node's IPVS, and pods unpack what it sends and answer for the service.

Answers of pods come from an address that leads elsewhere, so the link they come by may not ask whether it is also the
way back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from netpol.dataplane.address_messages import LOOPBACK
from netpol.dataplane.closing import Closing
from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family, family_of
from proxy.kernel.links import NetlinkLinks
from proxy.kernel.mark_routes import MarkRoutes
from proxy.kernel.namespaces import reachable_namespaces, visit
from proxy.kernel.sysctls import ProcSysctls

TUNNELS = {Family.IPV4: "kube-tunnel-if", Family.IPV6: "kube-tunnel-v6"}
"""kube-router's names: where its image is swapped for this one, its tunnels are taken over."""

_FILTERS = Path("/proc/sys/net/ipv4/conf")
_STRICT, _LOOSE = 1, 2
"""Whether a packet is dropped whose source leads elsewhere, or only one whose source leads nowhere."""

_POD_SYSCTLS: Mapping[Family, Mapping[str, str]] = {
    Family.IPV4: {
        # Clients are not behind the tunnel. The stricter of this and the setting of all links counts, and loose is
        # counted as more than strict.
        f"net.ipv4.conf.{TUNNELS[Family.IPV4]}.rp_filter": str(_LOOSE),
        # The pod's neighbours are not to learn that it has the service's address.
        "net.ipv4.conf.all.arp_ignore": "1",
        "net.ipv4.conf.all.arp_announce": "2",
    },
    Family.IPV6: {},
}


class NetlinkTunnels(Closing):
    """`protocols.Tunnels`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self) -> None:
        self._links = NetlinkLinks()
        self._routes = MarkRoutes()
        self._ways: dict[Address, Path] = {}
        """In which namespace each address was found when all were looked into for the last time."""
        self._opened: dict[Address, Path] = {}
        self._knows_all = False
        """Whether a former process' tunnels have been looked for."""
        self._loosened: dict[str, int] = {}
        """What the filters of the node's links were."""

    def close(self) -> None:
        """Give the sockets back."""
        self._links.close()
        self._routes.close()

    def route_marks(self, marks: Collection[int]) -> int:
        """Packets with exactly these marks of ours come to this node's IPVS; returns what had to come or go."""
        return self._routes.ensure(marks)

    def open(self, pod: Address, service_addresses: frozenset[Address]) -> None:
        """The pod takes packets to these addresses out of its tunnel; KernelRefusal where it cannot be reached.

        A pod that has the node's own address needs no tunnel: what IPVS sends there never leaves the node.
        """
        if pod in self._links.addresses():
            return
        if not self._opens(pod, service_addresses):
            self._ways = dict(chain.from_iterable(visit(reachable_namespaces(), _found)))
            if not self._opens(pod, service_addresses):
                raise KernelRefusal(
                    f"no tunnel can be opened in pod {pod}: its network namespace is not visible: "
                    "hostPID and /run/netns are needed"
                )
        if pod.version == 4:
            self._loosen(pod)

    def _opens(self, pod: Address, service_addresses: frozenset[Address]) -> bool:
        """True once it is open; False where the pod is not where it was found."""
        if pod not in self._ways or not any(visit([self._ways[pod]], partial(_open, pod, service_addresses))):
            return False
        self._opened[pod] = self._ways[pod]
        return True

    def close_all(self, except_pods: Collection[Address] = ()) -> None:
        """No other pod that was opened, and is still there, has a tunnel of ours; a refusal stops none of the others.

        A former process may have opened any: the first time all namespaces are looked into.
        """
        kept = frozenset(except_pods)
        ways = {path for pod, path in self._opened.items() if pod not in kept}
        closed = visit(ways if self._knows_all else reachable_namespaces(), partial(_close, kept))
        if refusal := next(filter(None, closed), None):
            raise refusal
        self._knows_all = True
        self._opened = {pod: path for pod, path in self._opened.items() if pod in kept}

    def remove(self) -> None:
        """Nothing of it is left on the node; tunnels in pods are closed where they can be reached."""
        self.route_marks(())
        self._knows_all = False
        self.close_all()
        for name, before in self._loosened.items():
            if _filter(name) == _LOOSE:
                _set_filter(name, before)
        self._loosened.clear()

    def _loosen(self, pod: Address) -> None:
        """Answers of the pod are let in, though their source leads elsewhere."""
        link = self._links.towards(pod)
        if link is not None and max(_filter("all"), _filter(link.name)) == _STRICT:
            self._loosened.setdefault(link.name, _filter(link.name))
            _set_filter(link.name, _LOOSE)


def _found(path: Path) -> Sequence[tuple[Address, Path]]:
    """The addresses of the thread's namespace, and the way to it."""
    with NetlinkLinks() as links:
        return [(address, path) for address in links.addresses(other_than=(LOOPBACK,))]


def _open(pod: Address, service_addresses: frozenset[Address], _: Path) -> bool:
    """True where the pod is in the thread's namespace, and takes packets to these addresses from then on."""
    family = family_of(pod)
    with NetlinkLinks() as links:
        if pod not in links.addresses():
            return False
        link = links.ensure_tunnel(TUNNELS[family], pod)
        held = links.addresses(of=link)
        links.bind(link, service_addresses - held)
        links.unbind(link, held - service_addresses)
    ProcSysctls(_POD_SYSCTLS[family], TUNNELS[family], kept=()).ensure()
    return True


def _close(kept: frozenset[Address], _: Path) -> KernelRefusal | None:
    """The thread's namespace has no tunnel for any but these pods; why not, where that is refused."""
    try:
        with NetlinkLinks() as links:
            for family, name in TUNNELS.items():
                link = links.find(name)
                if link is not None and not any(family_of(each) is family for each in kept & links.addresses()):
                    ProcSysctls(_POD_SYSCTLS[family], name, kept=()).restore()
                    links.remove(name)
    except KernelRefusal as refusal:
        return refusal
    return None


def _filter(name: str) -> int:
    try:
        return int((_FILTERS / name / "rp_filter").read_text(encoding="ascii"))
    except OSError as refused:
        raise KernelRefusal(f"rp_filter of link {name} cannot be read: {refused.strerror}") from refused


def _set_filter(name: str, value: int) -> None:
    try:
        (_FILTERS / name / "rp_filter").write_text(str(value), encoding="ascii")
    except OSError as refused:
        raise KernelRefusal(
            f"answers of pods past this node may be dropped: rp_filter of link {name} cannot be set to {value}: "
            f"{refused.strerror}"
        ) from refused
