"""Services whose pods answer clients past the node, by annotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import builders
import pytest
from vm.conversation import ask
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER, EXTERNAL, FAMILIES, GATEWAY
from vm.servers import Reply, Servers
from vm.service_lab import PORT, ServiceLab
from vm.service_manifests import SLICE_PORTS, service
from vm.shown_namespaces import ShownNamespaces
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.listeners import Place
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

PODS = ("x/web-0", "x/web-1")
DIRECTLY = {"kube-router.io/service.dsr": "tunnel"}
OUTSIDE = ("outside/near", "outside/far", "node/two")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    """Two pods of this node listen on the service's external addresses."""
    directory = tmp_path_factory.mktemp("agent")
    with ServiceLab() as lab, ShownNamespaces(lab, lab.web), DirectoryAgent(lab, directory) as agent:
        # As on any node: what arrives from an address that no route leads back to is dropped.
        lab.run("ip", "route", "replace", "default", "via", str(lab.endpoint("node/two").address))
        # Pods have the addresses once they have tunnels.
        agent.put(web(DIRECTLY), *agent.slices("x/web", PODS, SLICE_PORTS))
        served = [
            Place(replace(lab.endpoint(pod, family), address=builders.address(EXTERNAL[family])), protocol, PORT)
            for pod in PODS
            for family in Family
            for protocol in (Protocol.TCP, Protocol.UDP)
        ]
        with Servers(served):
            yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """The two pods are behind the service, which asks to be answered directly."""
    running.only(web(DIRECTLY), *running.slices("x/web", PODS, SLICE_PORTS))
    return running


def web(annotations: dict[str, str]) -> Manifest:
    return service(
        "x/web",
        *CLUSTER.values(),
        ports=SLICE_PORTS,
        externalIPs=[*EXTERNAL.values()],
        annotations=annotations,
    )


@FAMILIES
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP], ids=lambda protocol: protocol.value)
def test_a_client_outside_is_answered_by_the_pods_and_seen_as_itself(
    agent: DirectoryAgent, protocol: Protocol, family: Family
) -> None:
    vip = builders.address(EXTERNAL[family])
    for name in OUTSIDE:
        client = agent.lab.endpoint(name, family)
        replies = [ask(client, vip, PORT, protocol) for _ in range(4)]
        assert set(replies) == {Reply(pod, str(client.address)) for pod in PODS}


@FAMILIES
def test_at_its_cluster_address_the_service_is_translated_as_ever(agent: DirectoryAgent, family: Family) -> None:
    client, vip = agent.lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    assert {ask(client, vip, PORT) for _ in range(4)} == {Reply(pod, GATEWAY[family]) for pod in PODS}


def test_a_pod_that_is_not_found_is_told_of(agent: DirectoryAgent) -> None:
    with ShownNamespaces(agent.lab, ()).without("x/web-2"):
        agent.put(*agent.slices("x/web", [*PODS, "x/web-2"], SLICE_PORTS))
        for family in Family:
            pod = agent.lab.endpoint("x/web-2", family).address
            agent.until_said(f"no tunnel can be opened in pod {pod}")
        wait_until(lambda: agent.metric("netpol_notices", kind="Service") == 2, "it is counted")
        agent.put(*agent.slices("x/web", PODS, SLICE_PORTS))
        wait_until(lambda: agent.metric("netpol_notices", kind="Service") == 0, "nothing is to be told")


def test_without_the_annotation_the_node_translates_again(agent: DirectoryAgent) -> None:
    agent.put(web({}))
    for family in Family:
        client, vip = agent.lab.endpoint("outside/near", family), builders.address(EXTERNAL[family])
        assert {ask(client, vip, PORT) for _ in range(4)} == {Reply(pod, GATEWAY[family]) for pod in PODS}
        assert "kube-tunnel" not in agent.lab.run("ip", "-br", "link", on=PODS[0])
    assert "-A -f " not in agent.virtual_servers()
