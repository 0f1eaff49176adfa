"""Two pods of one node, and a policy that keeps strangers from one of them."""

from __future__ import annotations

from builders import address, namespace, node, pod, pods, policy, rule, world

from netpol.dataplane.kernel import Flow
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol

FOUR = Family.IPV4
WEB = pod("x/web", "10.0.0.2", "fd00::2", labels="app=web", node="n1")
FRIEND = pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n1")
NODE = node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/28"])
SHUT = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP", "53/UDP"])])
WIDER = policy("x/p", "app=web", ingress=[rule(ports=["80/TCP", "53/UDP"])])
BASE = (namespace("x"), NODE, WEB, FRIEND)
WORLD = world(*BASE, SHUT)
STRANGER = address("198.51.100.7")


def flow(source: Address, destination: Address, protocol: Protocol = Protocol.TCP, port: int = 80) -> Flow:
    """A connection that was opened so."""
    return Flow(source, destination, protocol, port, handle=f"{source}>{destination}:{port}{protocol}".encode())
