"""The cluster in a guest is what tests of a proxy take it for: real, and without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from testbed.callers import Callers
from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE_V4, OUTSIDE_V4
from testbed.workloads import PORT, LiveNamespace, deployment, service
from vm.servers import Reply

from netpol.lab.prober import Outcome
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm_e2e

LINK = "by-hand"
UDP_PORT = 8081
MASQUERADED = ("POSTROUTING", "-m", "ipvs", "--ipvs", "-j", "MASQUERADE")


@pytest.fixture
def by_hand(live_cluster: LiveCluster) -> Iterator[LiveCluster]:
    """The node has a link for service addresses, and what leaves IPVS is masqueraded, until the test is over."""
    live_cluster.run("sysctl", "-qw", "net.ipv4.vs.conntrack=1")
    live_cluster.run("ip", "link", "add", LINK, "up", "type", "dummy")
    live_cluster.run("iptables", "-t", "nat", "-A", *MASQUERADED)
    yield live_cluster
    live_cluster.run("iptables", "-t", "nat", "-D", *MASQUERADED)
    live_cluster.run("ipvsadm", "--clear")
    live_cluster.run("ip", "link", "del", LINK)


def test_virtual_servers_by_hand_serve_pods_the_node_and_the_world(
    by_hand: LiveCluster, namespace: LiveNamespace, callers: Callers
) -> None:
    namespace.apply(deployment("web", replicas=2), service("web"), deployment("client"))
    web = namespace.pods_of("web")
    one, two = web
    (client,) = namespace.pods_of("client")
    pod, node, outside = callers.pod(client), callers.node(), callers.outside()
    assert callers.pod(one).ask(two.addresses[0], PORT) == Reply(two.name, one.addresses[0])
    assert pod.ask(one.addresses[1], PORT) == Reply(one.name, client.addresses[1])
    assert outside.ask(one.addresses[0], UDP_PORT, Protocol.UDP) == Reply(one.name, OUTSIDE_V4)

    vip = namespace.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert all(caller.ask(vip, seconds=0.5) is Outcome.SILENT for caller in (pod, node, outside))

    by_hand.run("ip", "addr", "add", f"{vip}/32", "dev", LINK)
    servers = [f"-A -t {vip}:80 -s rr", *(f"-a -t {vip}:80 -r {each.addresses[0]}:{PORT} -m" for each in web)]
    by_hand.run("ipvsadm", "-R", given="\n".join(servers) + "\n")
    for caller in (pod, node, outside):
        assert caller.answering(vip, times=6) == Counter({one.name: 3, two.name: 3})
    with outside.hold(vip) as held:
        assert held.ask() == held.ask()
    assert pod.ask(NODE_V4) is Outcome.REFUSED
