"""What a rule allows is logged where that is asked for: once a connection, answered or not (X17)."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest
from builders import BOTH, namespace, pods, policy, rule
from cluster import Cluster
from kernel_text import packets_logged

from netpol.compiler import names
from netpol.compiler.names import PodChainKind
from netpol.lab.listeners import open_socket
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.treatment import AuditLevel

pytestmark = pytest.mark.kernel

HOME = replace(namespace("x", "team=red"), audit=AuditLevel.ALLOWS)
API = rule(peers=[pods("app=api")])
WEB = policy("x/web", "app=web", ingress=[API], egress=[API], directions=BOTH)


def allowed(cluster: Cluster, direction: Direction, family: Family) -> int:
    """How many packets of x/web the kernel has logged as such."""
    return packets_logged(cluster, names.pod_chain("x", "web", direction, PodChainKind.ALLOWING), family)


@pytest.mark.parametrize("family", Family, ids=lambda family: f"IPv{family.value}")
def test_the_first_packet_of_each_connection_is_logged(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    cluster.enforce(HOME, WEB)
    client, server = (cluster.lab.endpoint(name, family) for name in ("x/api", "x/web"))
    with ExitStack() as opened:
        hears = opened.enter_context(open_socket(server, socket.SOCK_DGRAM))
        hears.settimeout(5.0)
        hears.bind((str(server.address), 53))
        for connection in (1, 2):
            says = opened.enter_context(open_socket(client, socket.SOCK_DGRAM))
            says.bind((str(client.address), client.namespace.fresh_source_port()))
            for word in (b"one", b"two", b"three"):
                says.sendto(word, (str(server.address), 53))
                assert hears.recv(16) == word
            assert allowed(cluster, Direction.INGRESS, family) == connection
    assert allowed(cluster, Direction.EGRESS, family) == 0


def test_what_is_refused_is_not_logged_as_allowed(cluster: Cluster) -> None:
    cluster.enforce()
    cluster.enforce(HOME, WEB)
    assert not cluster.reaches("y/job", "x/web")
    assert not cluster.reaches("x/web", "y/job")
    assert [allowed(cluster, direction, Family.IPV4) for direction in Direction] == [0, 0]
    assert cluster.reaches("x/web", "x/api")
    assert allowed(cluster, Direction.EGRESS, Family.IPV4) > 0
