"""Which endpoints a client may come to: by policies, affinity, source ranges and hints."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import builders
import pytest
from vm.conversation import answering, ask
from vm.directory_agent import DirectoryAgent
from vm.families import BALANCER, CLUSTER, EXTERNAL, FAMILIES, NODE_PORT, PRIMARY
from vm.servers import Reply
from vm.service_lab import OUTSIDE, ServiceLab
from vm.service_manifests import SLICE_PORTS, endpoint, endpoint_slice, service
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

NEAR = dict(zip(Family, OUTSIDE["near"], strict=True))
CHECK_PORT = 32100
UDP_SECONDS = 1
PODS = ("x/web-0", "x/web-1", "x/far")
SOON = 0.5
"""Silence for so long is silence for good: an answer takes milliseconds."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    flags = "--service-udp-timeout=1s", "--cluster-cidr=10.1.0.0/16,10.2.0.0/16,fd01::/64,fd02::/64"
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent"), *flags) as agent:
        lab.serve(["x/far"])
        lab.refuse_everybody()
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """Two pods of this node and one of the other are behind the service, whatever a test makes of it."""
    running.only(web(), *running.slices("x/web", PODS, SLICE_PORTS))
    return running


def web(**spec: Any) -> Manifest:
    """The service, with everything that one may have."""
    return service(
        "x/web",
        *CLUSTER.values(),
        ports="t=80:30080/TCP u=80:30080/UDP",
        type="LoadBalancer",
        ingress=tuple(BALANCER.values()),
        externalIPs=[*EXTERNAL.values()],
        **spec,
    )


def found(agent: DirectoryAgent, client: str, family: Family, address: str, port: int = 80) -> set[str]:
    """Who answers the client."""
    return set(answering(agent.lab.endpoint(client, family), builders.address(address), port, times=6))


# --- policies


@FAMILIES
def test_a_cluster_address_leads_to_this_nodes_pods_where_the_policy_is_local(
    agent: DirectoryAgent, family: Family
) -> None:
    agent.put(web(internalTrafficPolicy="Local"))
    for client in ("x/client", "node/one", "outside/near"):
        assert found(agent, client, family, CLUSTER[family]) == {"x/web-0", "x/web-1"}
        assert found(agent, client, family, EXTERNAL[family]) == {*PODS}
        assert found(agent, client, family, PRIMARY[family], NODE_PORT) == {*PODS}


@FAMILIES
def test_from_outside_this_nodes_pods_are_reached_and_see_the_client_where_that_policy_is_local(
    agent: DirectoryAgent, family: Family
) -> None:
    agent.put(web(externalTrafficPolicy="Local"))
    near = agent.lab.endpoint("outside/near", family)
    for address, port in ((EXTERNAL[family], 80), (BALANCER[family], 80), (PRIMARY[family], NODE_PORT)):
        for protocol in (Protocol.TCP, Protocol.UDP):
            replies = [ask(near, builders.address(address), port, protocol) for _ in range(4)]
            assert set(replies) == {Reply("x/web-0", NEAR[family]), Reply("x/web-1", NEAR[family])}, address
    for client in ("x/client", "outside/near"):
        assert found(agent, client, family, CLUSTER[family]) == {*PODS}
    reply = ask(near, builders.address(CLUSTER[family]), 80)
    assert isinstance(reply, Reply)
    assert reply.peer != NEAR[family]


def test_without_an_endpoint_here_a_local_service_refuses(agent: DirectoryAgent) -> None:
    agent.put(
        web(externalTrafficPolicy="Local", internalTrafficPolicy="Local"),
        *agent.slices("x/web", ["x/far"], SLICE_PORTS),
    )
    for family in Family:
        client = agent.lab.endpoint("outside/near", family)
        for address, port in ((CLUSTER[family], 80), (EXTERNAL[family], 80), (PRIMARY[family], NODE_PORT)):
            for protocol in (Protocol.TCP, Protocol.UDP):
                assert ask(client, builders.address(address), port, protocol) is Outcome.REFUSED


def test_of_local_pods_that_all_terminate_those_that_serve_still_do(agent: DirectoryAgent) -> None:
    lab = agent.lab
    ends = [
        endpoint(str(lab.endpoint("x/web-0").address), ready=False, serving=True, terminating=True),
        endpoint(str(lab.endpoint("x/web-1").address), ready=False, serving=False, terminating=True),
        endpoint(str(lab.endpoint("x/far").address), "two"),
    ]
    draining = endpoint_slice("x/web-4", "x/web", *ends, ports=SLICE_PORTS)
    agent.put(web(externalTrafficPolicy="Local"), draining)
    assert found(agent, "outside/near", Family.IPV4, EXTERNAL[Family.IPV4]) == {"x/web-0"}
    assert found(agent, "outside/near", Family.IPV4, CLUSTER[Family.IPV4]) == {"x/far"}


def test_the_health_check_says_how_many_endpoints_this_node_has(agent: DirectoryAgent) -> None:
    agent.put(web(externalTrafficPolicy="Local", healthCheckNodePort=CHECK_PORT))
    for address in (PRIMARY[Family.IPV4], f"[{PRIMARY[Family.IPV6]}]"):
        until_told(agent, (HTTPStatus.OK, 2), address)
    agent.put(*agent.slices("x/web", ["x/far"], SLICE_PORTS))
    until_told(agent, (HTTPStatus.SERVICE_UNAVAILABLE, 0))
    agent.put(web())
    until_told(agent, None)


def until_told(agent: DirectoryAgent, expected: tuple[int, int] | None, address: str = PRIMARY[Family.IPV4]) -> None:
    wait_until(lambda: health(agent, address) == expected, f"the health check at {address} says {expected}")


def health(agent: DirectoryAgent, address: str) -> tuple[int, int] | None:
    """The status and the number of endpoints that a load balancer outside is told; None where nobody answers."""
    try:
        with (
            agent.lab.lab.namespace("outside/near").entered(),
            urllib.request.urlopen(f"http://{address}:{CHECK_PORT}/", timeout=5) as answer,
        ):
            return answer.status, json.load(answer)["localEndpoints"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)["localEndpoints"]
    except urllib.error.URLError:
        return None


# --- affinity


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP], ids=lambda protocol: protocol.value)
@FAMILIES
def test_a_client_with_affinity_stays_and_others_go_where_they_will(
    agent: DirectoryAgent, protocol: Protocol, family: Family
) -> None:
    agent.put(web(sessionAffinity="ClientIP"))
    vip = builders.address(CLUSTER[family])
    places = [
        answering(agent.lab.endpoint(name, family), vip, 80, protocol, times=6)
        for name in ("outside/near", "outside/far", "node/two")
    ]
    assert [len(each) for each in places] == [1, 1, 1]
    assert {name for each in places for name in each} == {*PODS}


@FAMILIES
def test_affinity_ends_with_its_time(agent: DirectoryAgent, family: Family) -> None:
    agent.put(web(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 3}}))
    client, vip = agent.lab.endpoint("outside/near", family), builders.address(EXTERNAL[family])
    first = answering(client, vip, 80, Protocol.UDP, times=5)
    assert len(first) == 1
    wait_until(lambda: not remembered(agent, EXTERNAL[family]), "it is forgotten")
    second = answering(client, vip, 80, Protocol.UDP, times=5)
    assert len(second) == 1
    assert second != first


def remembered(agent: DirectoryAgent, address: str) -> list[str]:
    """What IPVS knows of datagrams to the address."""
    lines = agent.lab.run("ipvsadm", "-Lnc").splitlines()
    return [line for line in lines if line.startswith("UDP") and address in line]


# --- source ranges


@FAMILIES
def test_only_who_is_in_a_source_range_may_use_the_load_balancers_address(
    agent: DirectoryAgent, family: Family
) -> None:
    agent.put(web(loadBalancerSourceRanges=["198.51.100.7/32", "2001:db8:7::7/128", "10.1.0.0/24"]))
    balancer = builders.address(BALANCER[family])
    near, far = (agent.lab.endpoint(name, family) for name in ("outside/near", "outside/far"))
    for protocol in (Protocol.TCP, Protocol.UDP):
        assert isinstance(ask(near, balancer, 80, protocol), Reply)
        assert ask(far, balancer, 80, protocol, seconds=SOON) is Outcome.SILENT
        for address, port in ((CLUSTER[family], 80), (EXTERNAL[family], 80), (PRIMARY[family], NODE_PORT)):
            assert isinstance(ask(far, builders.address(address), port, protocol), Reply)
    pod = ask(agent.lab.endpoint("x/client", family), balancer, 80, seconds=SOON)
    assert isinstance(pod, Reply) if family is Family.IPV4 else pod is Outcome.SILENT


def test_a_range_that_cannot_be_read_lets_nobody_in(agent: DirectoryAgent) -> None:
    agent.put(web(loadBalancerSourceRanges=["198.51.100.7/33"]))
    for family in Family:
        for name in ("outside/near", "outside/far", "x/client", "node/two"):
            client = agent.lab.endpoint(name, family)
            assert ask(client, builders.address(BALANCER[family]), 80, seconds=SOON) is Outcome.SILENT
    agent.until_said("is no CIDR; it allows nobody")
    assert agent.metric("netpol_notices", kind="Service") == 1
    agent.put(web())
    for family in Family:
        assert found(agent, "outside/far", family, BALANCER[family]) == {*PODS}


# --- hints


def test_hints_are_followed_for_this_node_and_its_zone(agent: DirectoryAgent) -> None:
    near = Family.IPV4
    node = agent.manifest("Node", "one")
    labelled = {**node, "metadata": {"name": "one", "labels": {"topology.kubernetes.io/zone": "a"}}}
    agent.put(web(), labelled, hinted(agent))
    assert found(agent, "x/client", near, CLUSTER[near]) == {"x/web-0", "x/far"}
    agent.put(hinted(agent, ("two", "one", "two")))
    assert found(agent, "x/client", near, CLUSTER[near]) == {"x/web-1"}
    agent.put(node, hinted(agent))
    assert found(agent, "x/client", near, CLUSTER[near]) == {*PODS}


def hinted(agent: DirectoryAgent, nodes: Sequence[str] = ()) -> Manifest:
    """The pods in one slice, with hints for zones and, where these are given, for nodes."""
    ends = []
    for number, (pod, zone) in enumerate(zip(PODS, ("a", "b", "a"), strict=True)):
        hints: Manifest = {"forZones": [{"name": zone}]}
        if nodes:
            hints["forNodes"] = [{"name": nodes[number]}]
        ends.append(endpoint(str(agent.lab.endpoint(pod).address), agent.lab.lab.pods[pod].node, hints))
    return endpoint_slice("x/web-4", "x/web", *ends, ports=SLICE_PORTS)
