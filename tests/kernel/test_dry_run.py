"""What is under audit refuses nothing, in mid-stream or not, and is counted where it would refuse (X16)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import BOTH, namespace, pods, policy, rule
from cluster import EVERYBODY, Cluster, Object
from kernel_text import packets_logged

from netpol.compiler import names
from netpol.compiler.names import PodChainKind
from netpol.lab.flows import Flow, Speaker
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.treatment import Enforcement

pytestmark = pytest.mark.kernel

API_ONLY = policy("x/web", "app=web", ingress=[rule(peers=[pods("app=api")])], directions=BOTH)
UNDER_AUDIT = replace(API_ONLY, enforcement=Enforcement.AUDIT)
AUDITED_HOME = namespace("x", "team=red", under_audit=True)
DRY_RUNS: dict[str, list[Object]] = {
    "policy": [UNDER_AUDIT],
    "namespace": [AUDITED_HOME, API_ONLY],
    "annotation": [replace(AUDITED_HOME, default_deny=True)],
}


def would_be_refused(cluster: Cluster, direction: Direction, family: Family) -> int:
    """How many packets of x/web the kernel has logged as such."""
    return packets_logged(cluster, names.pod_chain("x", "web", direction, PodChainKind.AUDITING), family)


@pytest.mark.parametrize("objects", DRY_RUNS.values(), ids=DRY_RUNS)
def test_nobody_is_refused(cluster: Cluster, objects: list[Object]) -> None:
    cluster.enforce(*objects)
    table = cluster.probe("80/TCP", "53/UDP", "ICMP")
    for port in ("80/TCP", "53/UDP", "ICMP"):
        assert table.reaching("x/web", port) == table.reached_from("x/web", port) == EVERYBODY - {"x/web"}


@pytest.mark.parametrize("family", Family, ids=lambda family: f"IPv{family.value}")
def test_who_would_be_refused_is_logged_and_nobody_else(cluster: Cluster, family: Family) -> None:
    cluster.enforce()
    cluster.enforce(UNDER_AUDIT)
    assert cluster.reaches("x/api", "x/web", family=family)
    assert would_be_refused(cluster, Direction.INGRESS, family) == 0
    assert cluster.reaches("y/job", "x/web", family=family)
    assert would_be_refused(cluster, Direction.INGRESS, family) > 0
    assert would_be_refused(cluster, Direction.EGRESS, family) == 0
    assert cluster.reaches("x/web", "y/job", family=family)
    assert would_be_refused(cluster, Direction.EGRESS, family) > 0


@pytest.mark.parametrize("family", Family, ids=lambda family: f"IPv{family.value}")
@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
def test_a_connection_is_picked_up_in_mid_stream(cluster: Cluster, family: Family, first: Speaker) -> None:
    """X16: as one of a pod that nothing isolates; G11 for the pod once it is isolated."""
    cluster.enforce()
    with Flow(cluster.lab.endpoint("y/job", family), cluster.place("x/web", "80/TCP", family)) as flow:
        cluster.enforce(UNDER_AUDIT)
        cluster.shell("one", "conntrack", "-F")
        other = Speaker.SERVER if first is Speaker.CLIENT else Speaker.CLIENT
        assert flow.passes(first)
        assert flow.passes(other)
        cluster.enforce(API_ONLY)
        assert not flow.passes(first, 0.3)
        assert not flow.passes(other, 0.3)


def test_enforcing_cuts_what_it_denies_and_auditing_lets_it_open_again(cluster: Cluster) -> None:
    cluster.enforce(AUDITED_HOME, API_ONLY)
    with (
        Flow(cluster.lab.endpoint("y/job"), cluster.place("x/web")) as denied,
        Flow(cluster.lab.endpoint("x/api"), cluster.place("x/web", "81/TCP")) as allowed,
    ):
        cluster.enforce(API_ONLY)
        assert not any(denied.passes(speaker, 0.3) for speaker in Speaker)
        assert all(map(allowed.passes, Speaker))
        assert not cluster.reaches("y/job", "x/web")
        cluster.enforce(AUDITED_HOME, API_ONLY)
        assert all(map(allowed.passes, Speaker))
        assert cluster.reaches("y/job", "x/web")


def test_a_policy_under_audit_opens_nothing(cluster: Cluster) -> None:
    """It may only be enforced: rules under audit allow nobody."""
    open_to_all = policy("x/all", "app=web", ingress=[rule()], under_audit=True)
    cluster.enforce(API_ONLY, open_to_all)
    assert cluster.probe("80/TCP", destinations=["x/web"]).reaching("x/web") == {"x/api"}
