"""No moment is more open than the policies: for pods that have just come, and for connections that were there."""

from __future__ import annotations

import ipaddress

import pytest
from testbed.agent import Agent
from testbed.live_cluster import LiveCluster
from testbed.workloads import (
    ANNOTATION,
    CLOSED,
    PORT,
    LiveNamespace,
    LivePod,
    deployment,
    policy,
)
from waiting import wait_until

pytestmark = pytest.mark.e2e

NEW_PODS = 3


def test_a_new_pod_of_a_closed_namespace_is_never_open(agent: Agent, namespace: LiveNamespace, other: LivePod) -> None:
    namespace.annotate(CLOSED)
    namespace.apply(deployment("first"))
    (first,) = namespace.pods_of("first")
    # The CNI plugin hands out one address after the other.
    last = ipaddress.ip_address(first.addresses[0])
    coming = [str(last + number) for number in range(1, NEW_PODS + 1)]
    one = f"/agnhost connect $address:{PORT} --timeout=100ms >/dev/null 2>&1 && echo reached $address || echo tried"
    script = f"for address in {' '.join(coming)}; do while [ ! -e /tmp/stop ]; do {one}; done & done; wait"
    with other.running(script) as outcomes:
        namespace.apply(deployment("next", replicas=NEW_PODS))
        pods = namespace.pods_of("next")
    assert {pod.addresses[0] for pod in pods} == set(coming)
    assert set(outcomes) == {"tried"}


def test_a_connection_ends_where_it_would_not_open_any_more(
    live_cluster: LiveCluster, agent: Agent, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("closed"), deployment("open"))
    (closed,) = namespace.pods_of("closed")
    (open_,) = namespace.pods_of("open")
    namespace.apply(policy("open", {"deployment": "open"}, {}))
    answers = {}
    for pod in (open_, closed):
        with other.running(asking_at_the_end(pod.addresses[0])) as words:
            until_established(live_cluster, pod)
            namespace.annotate(CLOSED)
            other.until_it_meets_silence(closed.addresses[0])
        answers[pod.name] = "200" in words
        namespace.annotate(f"{ANNOTATION}-")
    assert answers == {open_.name: True, closed.name: False}


def asking_at_the_end(address: str) -> str:
    """A script with one connection, on which something is asked only when the script is told to end."""
    waiting = "while [ ! -e /tmp/stop ]; do sleep 0.1; done"
    asking = f"({waiting}; echo 'GET /hostname HTTP/1.0'; echo; sleep 2) | nc {address} {PORT} &"
    # An answer that does not come would be waited for for ever.
    return f"{asking} {waiting}; sleep 2; kill $! 2>/dev/null; true"


def until_established(cluster: LiveCluster, pod: LivePod) -> None:
    """The node knows of a connection to the pod that is open in both directions."""
    listing = ("conntrack", "-L", "-p", "tcp", "--orig-dst", pod.addresses[0], "--orig-port-dst", str(PORT))
    wait_until(lambda: "ESTABLISHED" in cluster.run(*listing), "a connection")
