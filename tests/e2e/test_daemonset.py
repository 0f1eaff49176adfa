"""The agent rolled out as a user does it: its image, its manifests, its own service account."""

from __future__ import annotations

import pytest
from testbed.daemonset import agents, rollout_ends
from testbed.live_cluster import LiveCluster
from testbed.workloads import (
    ANNOTATION,
    CLOSED,
    PORT,
    LiveNamespace,
    LivePod,
    deployment,
    policy,
    reaches_from,
)
from waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("firewall")]


def connecting(address: str, seconds: str) -> str:
    """A script of connections, one after the other, that says what comes of each."""
    one = f"/agnhost connect {address}:{PORT} --timeout={seconds} >/dev/null 2>&1 && echo reached || echo silent"
    return f"while [ ! -e /tmp/stop ]; do {one}; done"


def test_kubectl_closes_and_a_policy_opens(live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod) -> None:
    namespace.apply(deployment("web"))
    (web,) = namespace.pods_of("web")
    namespace.annotate(CLOSED)
    for address in web.addresses:
        other.until_it_meets_silence(address)
        assert reaches_from(live_cluster.inside(), address)
    namespace.apply(policy("open", {"deployment": "web"}, {}))
    for address in web.addresses:
        other.until_it_reaches(address)


def test_no_packet_goes_wrong_while_the_agent_is_updated_and_killed(
    live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("open"), deployment("closed"), deployment("friend"))
    namespace.annotate(CLOSED)
    namespace.apply(policy("open", {"deployment": "open"}, {}))
    (open_,) = namespace.pods_of("open")
    (closed,) = namespace.pods_of("closed")
    (friend,) = namespace.pods_of("friend")
    other.until_it_meets_silence(closed.addresses[0])
    other.until_it_reaches(open_.addresses[0])
    with (
        other.running(connecting(open_.addresses[0], "3s")) as to_the_open,
        friend.running(connecting(closed.addresses[0], "200ms")) as to_the_closed,
    ):
        (old,) = agents(live_cluster)
        live_cluster.kubectl("-n", "kube-system", "rollout", "restart", "daemonset/netpol")
        rollout_ends(live_cluster, "netpol")
        (new,) = agents(live_cluster)
        assert old["name"] != new["name"]
        live_cluster.kubectl("-n", "kube-system", "delete", "pod", str(new["name"]), "--force", "--grace-period=0")
        wait_until(lambda: [pod["name"] for pod in agents(live_cluster)] not in ([], [new["name"]]), "another agent")
        rollout_ends(live_cluster, "netpol")
    assert len(to_the_open) > 20
    assert set(to_the_open) == {"reached"}
    assert len(to_the_closed) > 5
    assert set(to_the_closed) == {"silent"}


def test_what_is_not_understood_is_an_event_on_its_object(live_cluster: LiveCluster, namespace: LiveNamespace) -> None:
    namespace.annotate(f"{ANNOTATION}={{broken")
    about = f"involvedObject.kind=Namespace,involvedObject.name={namespace}"
    wait_until(
        lambda: live_cluster.kubectl("get", "events", "-A", f"--field-selector={about}", "-o", "name"),
        "an Event",
    )


def test_the_agent_is_never_restarted(live_cluster: LiveCluster) -> None:
    rollout_ends(live_cluster, "netpol")
    assert [pod["restarts"] for pod in agents(live_cluster)] == [0]
