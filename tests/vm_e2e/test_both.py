"""Firewall and service proxy rolled out as one: DefaultDeny and the guestbook's policies, on service traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from testbed.callers import Caller, Callers
from testbed.cluster_fixtures import fresh_namespace
from testbed.daemonset import both_rolled_out, netpol
from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE_V4, OUTSIDE_V4
from testbed.workloads import CLOSED, LiveNamespace, deployment
from vm.servers import Reply
from waiting import wait_until

from netpol.audit.record import Action, ExternalParty, PodParty, Record, decode
from netpol.lab.prober import Outcome

pytestmark = pytest.mark.vm_e2e

WEB_PORT, REDIS_PORT = 80, 6379
POLICIES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guestbook-allow-frontend}
spec:
  podSelector: {matchLabels: {tier: frontend}}
  ingress:
  - from:
    ports:
    - {protocol: TCP, port: 80}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guestbook-allow-backend}
spec:
  podSelector: {matchLabels: {tier: backend}}
  ingress:
  - from:
    - podSelector: {matchLabels: {tier: frontend, app: guestbook}}
    ports:
    - {protocol: TCP, port: 6379}
"""


@dataclass(frozen=True, slots=True)
class Guestbook:
    """The guestbook's two services, and who asks them."""

    namespace: LiveNamespace
    frontend_ip: str
    frontend_node_port: int
    backend_ip: str
    backend_node_port: int
    frontend: Caller
    client: Caller
    outside: Caller
    node: Caller


@pytest.fixture(name="guestbook")
def _guestbook(live_cluster: LiveCluster, own_image: str) -> Iterator[Guestbook]:
    assert own_image
    with both_rolled_out(live_cluster), fresh_namespace(live_cluster) as namespace, ExitStack() as stack:
        namespace.apply(
            deployment("frontend", port=WEB_PORT, app="guestbook", tier="frontend"),
            deployment("backend", port=REDIS_PORT, app="guestbook", tier="backend"),
            deployment("client"),
            _service("frontend", WEB_PORT),
            _service("backend", REDIS_PORT),
        )
        callers = Callers(live_cluster, stack)
        (front,), _, (client,) = (namespace.pods_of(each) for each in ("frontend", "backend", "client"))
        places = [_place(namespace, each) for each in ("frontend", "backend")]
        yield Guestbook(
            namespace,
            *places[0],
            *places[1],
            callers.pod(front),
            callers.pod(client),
            callers.outside(),
            callers.node(),
        )


def _service(name: str, port: int) -> dict[str, Any]:
    spec = {"type": "NodePort", "selector": {"deployment": name}, "ports": [{"port": port, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _place(namespace: LiveNamespace, name: str) -> tuple[str, int]:
    spec = json.loads(namespace.kubectl("get", "svc", name, "-o", "json"))["spec"]
    return spec["clusterIP"], spec["ports"][0]["nodePort"]


def reaches(caller: Caller, at: str, port: int) -> bool:
    """Whether a pod answered; False where nothing did, AssertionError where the connection was refused."""
    reply = caller.ask(at, port, seconds=1.5)
    assert reply is not Outcome.REFUSED
    return isinstance(reply, Reply)


def becomes(caller: Caller, at: str, port: int, *, reached: bool) -> None:
    """A connection was answered, or met silence, as it should be from now on."""
    wait_until(partial(_is, caller, at, port, reached=reached), f"{at}:{port} reached: {reached}")


def _is(caller: Caller, at: str, port: int, *, reached: bool) -> bool:
    return reaches(caller, at, port) is reached


def test_the_guestbook_is_closed_and_opened_for_whom_its_policies_name(guestbook: Guestbook) -> None:
    here = guestbook
    everywhere = (
        (here.client, here.frontend_ip, WEB_PORT),
        (here.outside, NODE_V4, here.frontend_node_port),
        (here.client, here.backend_ip, REDIS_PORT),
        (here.frontend, here.backend_ip, REDIS_PORT),
        (here.outside, NODE_V4, here.backend_node_port),
    )
    for way in everywhere:
        becomes(*way, reached=True)

    here.namespace.annotate(CLOSED)
    for way in everywhere:
        becomes(*way, reached=False)
    assert reaches(here.node, here.frontend_ip, WEB_PORT), "the node reaches its own pods (G8)"

    here.namespace.cluster.kubectl("-n", str(here.namespace), "apply", "-f", "-", given=POLICIES)
    for way in (everywhere[0], everywhere[1], everywhere[3]):
        becomes(*way, reached=True)
    for way in (everywhere[2], everywhere[4]):
        assert not reaches(*way)

    _refusals_name_who_they_are_about(here)

    here.namespace.annotate(f"{CLOSED.partition('=')[0]}-")
    here.namespace.kubectl("delete", "networkpolicy", "--all")
    for way in everywhere:
        becomes(*way, reached=True)


def _refusals_name_who_they_are_about(here: Guestbook) -> None:
    """The pods themselves, and the client outside by its own address, which is hidden only later (G5, X5)."""
    refused = wait_until(partial(_refused_at_backend, here), "both refusals")
    peers = [record.peer for record in refused]
    assert any(isinstance(peer, PodParty) and peer.name.startswith("client-") for peer in peers)
    assert {peer.ip for peer in peers if isinstance(peer, ExternalParty)} == {OUTSIDE_V4}
    assert {record.dst_port for record in refused} == {REDIS_PORT}


def _refused_at_backend(here: Guestbook) -> list[Record]:
    printed = netpol(here.namespace.cluster, "audit", "-o", "json", "--since=5m", f"--namespace={here.namespace}")
    records = [decode(line.encode()) for line in printed.splitlines()]
    found = [
        record
        for record in records
        if record.action is Action.DENY
        and isinstance(record.subject, PodParty)
        and record.subject.name.startswith("backend-")
    ]
    has_outside = any(isinstance(record.peer, ExternalParty) for record in found)
    has_pod = any(isinstance(record.peer, PodParty) for record in found)
    return found if has_outside and has_pod else []
