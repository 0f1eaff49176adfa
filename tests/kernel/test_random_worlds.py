"""Random worlds on the real kernel: every pair of every world is let through or not as the oracle has it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cluster import Cluster
from hypothesis import HealthCheck, Phase, given, settings
from worlds import NODE_ADDRESSES, POD_CIDRS, snapshots

from netpol.lab.topology import Outside
from netpol.model.networks import parse_address
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import Snapshot, holders
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

WORLDS = 60 if os.environ.get("NETPOL_REQUIRE_ALL") == "1" else 12
PORTS = ("80/TCP", "81/TCP", "53/UDP", "80/SCTP", "ICMP")
OUTSIDE = (
    Outside("near", (parse_address("198.51.100.7"), parse_address("2001:db8:7::7"))),
    Outside("far", (parse_address("203.0.113.9"), parse_address("fd00:9::1"))),
)
NODES = tuple(Node(name, NODE_ADDRESSES[name], POD_CIDRS[name]) for name in NODE_ADDRESSES)


@pytest.mark.parametrize("variant", list(Variant), ids=lambda variant: variant.value)
@settings(
    max_examples=WORLDS // len(Variant),
    # A smaller world that fails too would take minutes to find.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(snapshot=snapshots(max_pods=8))
def test_packets_go_where_the_oracle_says(namespaces: None, variant: Variant, snapshot: Snapshot) -> None:
    nodes = [f"node/{node.name}" for node in NODES]
    with (
        TemporaryDirectory() as directory,
        Cluster(Path(directory), (*NODES, *plugged(snapshot)), OUTSIDE, variant=variant) as cluster,
    ):
        cluster.judge_by(snapshot)
        # A pod may have an address of another node's range, which that node does not know.
        cluster.run("--fail-open", nodes=known_nodes(snapshot))
        ends = [*(name for name in cluster.lab.pods if cluster.lab.pods[name].addresses), *map(str, OUTSIDE)]
        cluster.probe(*PORTS, sources=[*ends, *nodes], destinations=[*ends, *nodes])


def known_nodes(snapshot: Snapshot) -> set[str]:
    """The nodes that the manifests tell of; to any other netpol refuses to be one of this cluster."""
    return {*snapshot.nodes, *(pod.node for pod in snapshot.pods.values() if pod.node)}


def plugged(snapshot: Snapshot) -> list[Pod]:
    """The pods with a network of their own, each with those of its addresses that it holds (X1)."""
    held = holders(snapshot.pods.values())
    return [
        replace(pod, addresses=own)
        for pod in snapshot.pods.values()
        if pod.actionable and pod.node
        for own in [tuple(address for address in pod.addresses if held[address] is pod)]
        if own
    ]
