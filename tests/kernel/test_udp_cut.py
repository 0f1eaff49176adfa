"""A UDP flow that was cut is not opened again by the side that answered, however long it goes on (G11)."""

from __future__ import annotations

import re
import select
import socket

import pytest
from builders import pods, policy, rule
from cluster import Cluster

from netpol.compiler.gates import CUT_SECONDS
from netpol.compiler.names import cut_set
from netpol.lab.flows import Flow, Speaker
from netpol.lab.listeners import open_socket
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family

pytestmark = pytest.mark.kernel

SHUT = policy("x/web", "app=web")
SILENT = policy("x/silent", "app=web", egress=[rule(peers=[pods("app=api")])])
OTHER_PORT = policy(
    "x/web",
    "app=web",
    ingress=[rule(peers=[pods("app=job", namespaces="")], ports=["54/UDP"]), rule(peers=[pods("app=api")])],
)

SERVER_FIRST = [Speaker.SERVER, Speaker.SERVER, Speaker.CLIENT, Speaker.SERVER, Speaker.CLIENT]
"""The side that answered speaks before the other, and goes on."""


@pytest.fixture(params=Family, ids=lambda family: f"IPv{family.value}")
def family(request: pytest.FixtureRequest) -> Family:
    assert isinstance(request.param, Family)
    return request.param


def flow(cluster: Cluster, source: str, destination: str, port: str, family: Family) -> Flow:
    return Flow(cluster.lab.endpoint(source, family), cluster.place(destination, port, family))


def remembered(cluster: Cluster, family: Family, node: str = "one") -> dict[str, int]:
    """What a node remembers of cut flows, each with the seconds it has left."""
    listed = cluster.shell(node, "ipset", "list", cut_set(family)).partition("Members:\n")[2]
    return {member: int(seconds) for member, seconds in re.findall(r"(\S+) timeout (\d+)", listed)}


def answering(cluster: Cluster, client: str, port: int, family: Family) -> str:
    """The member that stands for what x/web sends from `port` to a client."""
    web, peer = (cluster.lab.endpoint(name, family).address for name in ("x/web", client))
    return f"{web},udp:{port},{peer}"


def datagram_arrives(sender: Endpoint, from_port: int, receiver: Endpoint) -> bool:
    """True where one new datagram from that port of `sender` reaches `receiver`."""
    with open_socket(sender, socket.SOCK_DGRAM) as says, open_socket(receiver, socket.SOCK_DGRAM) as hears:
        says.bind((str(sender.address), from_port))
        hears.bind((str(receiver.address), receiver.namespace.fresh_source_port()))
        says.sendto(b"news", hears.getsockname()[:2])
        return bool(select.select([hears], [], [], 0.5)[0])


def test_flows_that_the_servers_end_denies_stay_cut(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    with (
        flow(cluster, "y/job", "x/web", "53/UDP", family) as near,
        flow(cluster, "y/other", "x/web", "60/UDP", family) as far,
        flow(cluster, "outside/client", "x/web", "61/UDP", family) as outer,
    ):
        flows = (near, far, outer)
        cluster.enforce(SHUT)
        for speaker in SERVER_FIRST:
            assert [each.passes(speaker, 0.25) for each in flows] == [False] * len(flows)


def test_flows_that_the_clients_end_denies_stay_cut(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    with (
        flow(cluster, "x/web", "y/job", "53/UDP", family) as near,
        flow(cluster, "x/web", "y/other", "53/UDP", family) as far,
        flow(cluster, "x/web", "outside/server", "53/UDP", family) as outward,
        flow(cluster, "x/web", "node/one", "53/UDP", family) as to_the_node,
    ):
        flows = (near, far, outward, to_the_node)
        cluster.enforce(SILENT)
        for speaker in SERVER_FIRST:
            assert [each.passes(speaker, 0.25) for each in flows] == [False] * len(flows)


def test_other_flows_of_the_same_two_live_on_and_new_ones_open(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    with (
        flow(cluster, "y/job", "x/web", "53/UDP", family) as cut,
        flow(cluster, "y/job", "x/web", "54/UDP", family) as allowed,
        flow(cluster, "x/web", "y/job", "55/UDP", family) as other_way,
        flow(cluster, "x/api", "x/web", "58/UDP", family) as of_another,
    ):
        cluster.enforce(OTHER_PORT)
        assert not cut.passes(Speaker.SERVER, 0.25)
        living = (allowed, other_way, of_another)
        assert all(each.passes(speaker) for each in living for speaker in (Speaker.SERVER, Speaker.CLIENT))
        assert not cut.passes(Speaker.CLIENT, 0.25)
        with flow(cluster, "x/web", "y/job", "56/UDP", family) as opened_anew:
            assert all(map(opened_anew.passes, Speaker))


def test_what_the_server_sends_to_others_is_its_own(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    with flow(cluster, "y/job", "x/web", "53/UDP", family):
        cluster.enforce(SHUT)
    server = cluster.lab.endpoint("x/web", family)
    for receiver in ("y/other", "x/api", "outside/server"):
        assert datagram_arrives(server, 53, cluster.lab.endpoint(receiver, family)), receiver
    client = cluster.lab.endpoint("y/job", family)
    assert datagram_arrives(server, 59, client)
    assert not datagram_arrives(server, 53, client)


@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
def test_policies_that_allow_it_again_do_so_at_once(cluster: Cluster, family: Family, first: Speaker) -> None:
    cluster.enforce()
    second = Speaker.SERVER if first is Speaker.CLIENT else Speaker.CLIENT
    with (
        flow(cluster, "y/job", "x/web", "53/UDP", family) as near,
        flow(cluster, "y/other", "x/web", "60/UDP", family) as far,
    ):
        cluster.enforce(SHUT)
        assert not any(each.passes(Speaker.SERVER, 0.25) for each in (near, far))
        cut = {answering(cluster, "y/job", 53, family), answering(cluster, "y/other", 60, family)}
        assert cut <= remembered(cluster, family).keys()
        cluster.enforce()
        assert remembered(cluster, family) == {}
        assert all(each.passes(speaker) for each in (near, far) for speaker in (first, second))


def test_it_is_remembered_for_as_long_as_the_server_goes_on(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    with flow(cluster, "y/job", "x/web", "53/UDP", family) as cut:
        cluster.enforce(SHUT)
        member = answering(cluster, "y/job", 53, family)
        assert member in remembered(cluster, family)
        cluster.shell("one", "ipset", "-exist", "add", cut_set(family), member, "timeout", "20")
        assert remembered(cluster, family)[member] <= 20
        assert not cut.passes(Speaker.SERVER, 0.25)
        assert CUT_SECONDS - 10 < remembered(cluster, family)[member] <= CUT_SECONDS


def test_what_is_remembered_is_no_drift_and_goes_with_a_cleanup(cluster: Cluster) -> None:
    cluster.enforce()
    with flow(cluster, "y/job", "x/web", "53/UDP", Family.IPV4):
        cluster.enforce(SHUT)
        before = remembered(cluster, Family.IPV4)
        assert before
        assert cluster.netpol("one", "verify", *cluster.arguments("one")).returncode == 0
        assert "nothing to change" in cluster.run()["one"]
        assert remembered(cluster, Family.IPV4).keys() == before.keys()
        cleaned = cluster.netpol("one", "cleanup")
        assert cleaned.returncode == 0, cleaned.stderr
        assert "NETPOL" not in cluster.shell("one", "ipset", "save")
