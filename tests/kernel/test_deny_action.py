"""Who is refused is told at once where that is asked for, by whichever end refuses (X17)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from builders import EGRESS, namespace, pods, policy, rule
from cluster import Cluster

from netpol.lab.prober import Outcome, Probe, probe
from netpol.model.networks import Family
from netpol.model.treatment import DenyAction

pytestmark = pytest.mark.kernel

PORTS = ("80/TCP", "53/UDP", "3000/SCTP", "ICMP")
TOLD = replace(namespace("x", "team=red"), deny_action=DenyAction.REJECT)
CLIENTS = ("x/api", "x/far", "y/job", "y/other", "outside/client")
"""Pods of both nodes, and a host outside."""
SERVERS = ("x/web", "x/far", "y/job", "y/other", "outside/server", "node/one", "node/two")


@pytest.fixture(autouse=True)
def _unlimited(cluster: Cluster) -> None:
    """The nodes send as many ICMP errors as there are refusals: by default one address gets one a second."""
    for each in cluster.lab.nodes:
        limits = {"ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0"}
        cluster.lab.namespace(f"node/{each}").configure(limits)


def outcomes(cluster: Cluster, sources: Iterable[str], destinations: Iterable[str]) -> dict[str, Outcome]:
    """What came of each probe between them, by every protocol and of either family; an answer is waited for."""
    asked = [
        Probe(cluster.lab.endpoint(source, family), cluster.place(destination, port, family))
        for source in sources
        for destination in destinations
        for port in PORTS
        for family in Family
    ]
    return {str(each): outcome for each, outcome in probe(asked, expected=asked).items()}


def test_clients_are_told_what_the_servers_end_refuses(cluster: Cluster) -> None:
    cluster.enforce(TOLD, policy("x/web", "app=web"))
    found = outcomes(cluster, CLIENTS, ["x/web"])
    assert found == dict.fromkeys(found, Outcome.REFUSED)


def test_a_client_is_told_what_its_own_end_refuses(cluster: Cluster) -> None:
    cluster.enforce(TOLD, policy("x/api", "app=api", directions=EGRESS))
    found = outcomes(cluster, ["x/api"], SERVERS)
    assert found == dict.fromkeys(found, Outcome.REFUSED)


def test_what_is_allowed_is_not_refused(cluster: Cluster) -> None:
    cluster.enforce(TOLD, policy("x/web", "app=web", ingress=[rule(peers=[pods("app=api")])]))
    found = outcomes(cluster, ["x/api", "node/one"], ["x/web"])
    assert found == dict.fromkeys(found, Outcome.REACHED)


def test_another_namespace_refuses_in_silence(cluster: Cluster) -> None:
    cluster.enforce(TOLD, policy("y/job", "app=job"), policy("x/web", "app=web"))
    table = cluster.probe("80/TCP", "53/UDP", sources=["x/api", "outside/client"], destinations=["y/job"])
    assert table.reaching("y/job") == table.reaching("y/job", "53/UDP") == set()
