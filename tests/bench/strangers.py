"""Hosts that nobody allows anything, behind a link of the node: what they send to a pod is refused, and counted.

Run with an address, a rate and `alike` or `unlike`, it sends until it is killed. A rate of 0 is as
fast as a processor can.
"""

from __future__ import annotations

import enum
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_network

from netpol.dataplane.address_messages import LOOPBACK
from netpol.lab.links import Links
from netpol.lab.namespace import Namespace

SOURCES = [IPv4Address("198.18.0.1") + number for number in range(64)]
PORTS = range(1000, 1050)
PAYLOAD = b"refused, and how often"
BURSTS_PER_SECOND = 1000
AT_ONCE = 50

NODE_LINK, PODS_LINK = "strangers", "pods"
COUNTING = ["iptables-nft", "-w", "-t", "mangle"]
"""Its table is not the agent's, whose rewriting would set a counter back."""
_COUNTED = re.compile(r"\[(\d+):\d+\] -A FORWARD -i strangers$", re.MULTILINE)


class Likeness(enum.Enum):
    """How many verdicts the packets are; the values are words of the command line."""

    ALIKE = "alike"
    """One source, and some ports: the same few records over and over."""
    UNLIKE = "unlike"
    """A scan from many sources: hardly two packets make one record."""


class Strangers:
    """The network that they are in, beside the node's; `pods` are reached through the node."""

    def __init__(self, node: Namespace, pods: str) -> None:
        self._node = node
        self._namespace = Namespace("the strangers")
        for each in (node, self._namespace):
            each.configure({"ipv6/conf/default/disable_ipv6": "1", "ipv4/conf/default/rp_filter": "0"})
        network = ip_network(pods)
        with Links(node) as links, Links(self._namespace) as beyond:
            links.up(LOOPBACK)
            near = links.veth(NODE_LINK, self._namespace, "eth0")
            far = beyond.index("eth0")
            beyond.up(far)
            for source in SOURCES:
                beyond.address(far, source)
                links.route(source, near)
            beyond.route(network, far)
            # Nothing gets so far: a route is all that makes the node forward.
            links.route(network, links.bridge(PODS_LINK))
        node.configure({"ipv4/ip_forward": "1", f"ipv4/conf/{NODE_LINK}/proxy_arp": "1"})
        node.run([*COUNTING, "-A", "FORWARD", "-i", NODE_LINK])

    def forwarded(self) -> int:
        """How many packets of theirs have come as far as the chains that judge."""
        listed = self._node.run(["iptables-nft-save", "-c", "-t", "mangle"]).stdout
        return sum(map(int, _COUNTED.findall(listed)))

    @contextmanager
    def sending(self, victim: str, senders: int, rate: int, likeness: Likeness) -> Iterator[None]:
        """Inside, so many of them send to the pod, together at this rate."""
        command = [sys.executable, "-m", "bench.strangers", victim, str(rate // max(1, senders)), likeness.value]
        with self._namespace.entered():
            # Without a bound they would leave nothing to the kernel's own threads, were their session put before these.
            children = [subprocess.Popen(command, start_new_session=not rate) for _ in range(senders)]
        try:
            yield
        finally:
            for child in children:
                child.kill()
                child.wait()


def send(victim: str, rate: int, likeness: Likeness) -> None:
    """UDP to the pod, for ever."""
    sources = SOURCES if likeness is Likeness.UNLIKE else SOURCES[:1]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sources]
    for each, source in zip(sockets, sources, strict=True):
        each.bind((str(source), 0))
    ports = random.choices(range(1, 1 << 16), k=1 << 16) if likeness is Likeness.UNLIKE else PORTS
    began, sent = time.monotonic(), 0
    while True:
        wanted = int((time.monotonic() - began) * rate) if rate else sent + AT_ONCE
        for number in range(sent, wanted):
            sockets[number % len(sockets)].sendto(PAYLOAD, (victim, ports[number % len(ports)]))
        sent = wanted
        if rate:
            time.sleep(1 / BURSTS_PER_SECOND)


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]), Likeness(sys.argv[3]))
