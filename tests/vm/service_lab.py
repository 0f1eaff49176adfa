"""A cluster of namespaces whose node can be given services: pods that serve, and clients in every place.

outside/near, outside/far -- wire -- node/one -- x/web-0, x/web-1, x/web-2, x/client
                              |
                              +----- node/two -- x/far
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Self

import builders
from vm.servers import Servers

from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.namespace import Namespace
from netpol.lab.topology import Endpoint, Outside, Wiring
from netpol.model.networks import Family, Network, family_of, parse_network
from netpol.model.objects import Node, Pod
from netpol.model.ports import Protocol

NODE_ADDRESSES = {"one": ("192.0.2.1", "2001:db8::1"), "two": ("192.0.2.2", "2001:db8::2")}
POD_CIDRS = {"one": ["10.1.0.0/24", "fd01::/64"], "two": ["10.2.0.0/24", "fd02::/64"]}
OUTSIDE = {"near": ("198.51.100.7", "2001:db8:7::7"), "far": ("198.51.100.8", "2001:db8:7::8")}
SERVICE_NETWORKS = tuple(map(parse_network, ("10.96.0.0/16", "fd00:96::/112", "203.0.113.0/24", "2001:db8:113::/112")))
"""Whoever is not on node one sends what is meant for these to it: cluster addresses, and external ones."""

CLIENTS = ("x/client", "x/far", "node/one", "node/two", "outside/near")
"""One in every place."""

PORT = 8080
SERVED = (Protocol.TCP, Protocol.UDP)


class ServiceLab:
    """Pods named `x/web-0`... on node one, each serving on `PORT`, with clients beside them, on node two and outside.

    Nothing of a proxy is in it. Everything has an address of either family.
    """

    def __init__(self, web_pods: int = 3, wiring: Wiring = Wiring.BRIDGED) -> None:
        nodes = [_node(name) for name in NODE_ADDRESSES]
        web = [_pod(f"x/web-{number}", "one", 10 + number) for number in range(web_pods)]
        pods = [*web, _pod("x/client", "one", 5), _pod("x/far", "two", 5)]
        outside = [Outside(name, tuple(map(builders.address, each))) for name, each in OUTSIDE.items()]
        self._open = ExitStack()
        with ExitStack() as until_complete:
            until_complete.callback(self.close)
            self.lab = self._open.enter_context(Lab(nodes, pods, outside, wiring))
            for name in ("node/two", *map(str, outside)):
                self._send_to_node_one(name, SERVICE_NETWORKS)
            self.web = tuple(str(pod) for pod in web)
            """The names of the pods that serve."""
            self.serve(self.web)
            until_complete.pop_all()

    @property
    def node(self) -> Namespace:
        """The namespace of node one, where a proxy is to be."""
        return self.lab.namespace("node/one")

    def endpoint(self, name: str, family: Family = Family.IPV4) -> Endpoint:
        """The pod `x/NAME`, `node/NAME` or `outside/NAME`, at its address of this family."""
        return self.lab.endpoint(name, family)

    def serve(self, pods: Iterable[str], port: int = PORT, protocols: Iterable[Protocol] = SERVED) -> None:
        """These pods answer on this port of each of their addresses, until the lab is closed."""
        places = [
            Place(endpoint, protocol, port)
            for name in pods
            for endpoint in self.lab.endpoints(name)
            for protocol in protocols
        ]
        self._open.enter_context(Servers(places))

    def refuse_everybody(self) -> None:
        """Whoever node one refuses is told so; else it tells one host of six refusals at once, then of one a second."""
        self.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")

    def run(self, *command: str, on: str = "node/one", given: str | None = None) -> str:
        """What the command wrote there; AssertionError where it failed."""
        done = self.lab.namespace(on).run(command, given)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
        return done.stdout

    def close(self) -> None:
        """Nothing of it is left."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send_to_node_one(self, name: str, networks: Iterable[Network]) -> None:
        hops = {family: self.lab.endpoint("node/one", family).address for family in Family}
        routes = [f"route add {network} via {hops[family_of(network)]}" for network in networks]
        self.run("ip", "-batch", "-", on=name, given="\n".join(routes) + "\n")


def _node(name: str) -> Node:
    return builders.node(name, *NODE_ADDRESSES[name], pod_cidrs=POD_CIDRS[name])


def _pod(name: str, node: str, number: int) -> Pod:
    number_of_node = 1 if node == "one" else 2
    return builders.pod(name, f"10.{number_of_node}.0.{number}", f"fd0{number_of_node}::{number}", node=node)
