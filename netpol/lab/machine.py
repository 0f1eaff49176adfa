"""A machine on the wire, and the pods plugged into it when it is a node."""

from __future__ import annotations

from contextlib import ExitStack
from ipaddress import ip_network
from itertools import count

from netpol.dataplane.address_messages import LOOPBACK
from netpol.lab.links import Links
from netpol.lab.namespace import Namespace
from netpol.lab.topology import GATEWAYS, Wiring, gateways, of_family
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Node

WIRE_LINK = "eth0"
POD_LINK = "eth0"
BRIDGE = "kube-bridge"

QUIET = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/ping_group_range": "0 2147483647",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/dad_transmits": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/autoconf": "0",
    "ipv6/conf/default/router_solicitations": "0",
}
"""An address is usable the moment it is set, packets may arrive by any link, and nothing is sent unasked."""

FORWARDING = {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"}
BRIDGE_CALLS_IPTABLES = {"bridge/bridge-nf-call-iptables": "1", "bridge/bridge-nf-call-ip6tables": "1"}


class Wire:
    """The bridge, in a namespace of its own, that every machine is plugged into."""

    def __init__(self) -> None:
        self._numbers = count()
        with ExitStack() as until_complete:
            self.namespace = until_complete.enter_context(Namespace("wire"))
            self.namespace.configure({"ipv6/conf/default/disable_ipv6": "1"})
            self._links = until_complete.enter_context(Links(self.namespace))
            self._bridge = self._links.bridge("wire")
            until_complete.pop_all()

    def plug(self, machine: Namespace) -> None:
        """`machine` has a link to the wire."""
        self._links.veth(f"port{next(self._numbers)}", machine, WIRE_LINK, self._bridge)

    def close(self) -> None:
        """Let go of the wire."""
        self._links.close()
        self.namespace.close()


class Machine:
    """A host on the wire, with addresses that it reaches the others from."""

    def __init__(self, name: str, addresses: tuple[Address, ...], wire: Wire) -> None:
        self.addresses = addresses
        with ExitStack() as until_complete:
            self.namespace = until_complete.enter_context(Namespace(name))
            self.namespace.configure(QUIET)
            wire.plug(self.namespace)
            self.links = until_complete.enter_context(Links(self.namespace))
            self.links.up(LOOPBACK)
            self._wire_link = self.links.index(WIRE_LINK)
            self.links.up(self._wire_link)
            for address in addresses:
                self.links.address(self._wire_link, address)
            until_complete.pop_all()

    def reach(self, address: Address, through: Machine) -> None:
        """What is meant for `address`, its own or a pod's, goes to the machine `through`."""
        family = family_of(address)
        if address in through.addresses:
            self.links.route(address, self._wire_link, source=of_family(self.addresses, family))
        else:
            hop = of_family(through.addresses, family)
            self.links.route(address, self._wire_link, via=hop, source=of_family(self.addresses, family))

    def forget(self, address: Address) -> None:
        """No route of its own leads to `address`."""
        self.links.unroute(address)

    def close(self) -> None:
        """Let go of the machine."""
        self.links.close()
        self.namespace.close()


class NodeMachine(Machine):
    """A node: it forwards, and pods are plugged into it."""

    def __init__(self, node: Node, wire: Wire, wiring: Wiring) -> None:
        super().__init__(str(node), node.addresses, wire)
        self.node = node
        self._own = gateways(node)
        self._numbers = count()
        self._plugs: dict[str, tuple[str, tuple[Address, ...]]] = {}
        with ExitStack() as until_complete:
            until_complete.callback(self.close)
            self._bridge = self.links.bridge(BRIDGE) if wiring is Wiring.BRIDGED else None
            self.namespace.configure(FORWARDING if self._bridge is None else FORWARDING | BRIDGE_CALLS_IPTABLES)
            for address in self._own.values():
                self.links.address(LOOPBACK if self._bridge is None else self._bridge, address)
            if self._bridge is not None:
                self._gateways_on(self._bridge)
            until_complete.pop_all()

    def plug(self, pod: str, addresses: tuple[Address, ...]) -> Namespace:
        """The namespace of a new pod that is reachable at `addresses` from this node."""
        with ExitStack() as until_complete:
            namespace = until_complete.enter_context(Namespace(pod))
            namespace.configure(QUIET)
            port = f"veth{next(self._numbers)}"
            link = self.links.veth(port, namespace, POD_LINK, self._bridge)
            if self._bridge is None:
                self._gateways_on(link)
            for address in addresses:
                self.links.route(address, self._bridge or link, source=self._own.get(family_of(address)))
            self._furnish(namespace, addresses)
            self._plugs[pod] = (port, addresses)
            until_complete.pop_all()
        return namespace

    def unplug(self, pod: str) -> tuple[Address, ...]:
        """The addresses that nobody is reachable at any more, now that the pod's link is gone."""
        port, addresses = self._plugs.pop(pod)
        for address in addresses if self._bridge is not None else ():
            self.links.unroute(address)
        self.links.remove(port)
        return addresses

    def _gateways_on(self, link: int) -> None:
        for family, gateway in GATEWAYS.items():
            self.links.address(link, gateway, 64 if family is Family.IPV6 else None)

    def _furnish(self, pod: Namespace, addresses: tuple[Address, ...]) -> None:
        with Links(pod) as links:
            links.up(LOOPBACK)
            link = links.index(POD_LINK)
            links.up(link)
            for address in addresses:
                links.address(link, address)
            if self._bridge is not None:
                for network in self.node.pod_cidrs:
                    links.route(network, link)
            for family, gateway in GATEWAYS.items():
                source = of_family(addresses, family)
                if source is not None:
                    links.route(gateway, link)
                    links.route(ip_network("0.0.0.0/0" if family is Family.IPV4 else "::/0"), link, gateway, source)
