"""Whom pods behind a service see, pods that reach themselves through it, and what rules of others have to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import builders
import pytest
from vm.conversation import answering, ask
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER, EXTERNAL, GATEWAY, IPTABLES, NODE_PORT, PRIMARY
from vm.servers import Reply
from vm.service_lab import CLIENTS, PORT, SERVED, ServiceLab
from vm.service_manifests import SLICE_PORTS, service
from world_manifests import Manifest

from netpol.lab.prober import Outcome
from netpol.model.networks import Family

pytestmark = pytest.mark.vm

AWAY = {Family.IPV4: "10.96.0.11", Family.IPV6: "fd00:96::11"}
SOON = 0.5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent")) as agent:
        lab.serve(["x/far"])
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """Behind one service is a pod of this node, behind another one of node two; no flag is given."""
    web_0, far = (running.slices(name, [pod], SLICE_PORTS) for name, pod in (("x/web", "x/web-0"), ("x/away", "x/far")))
    running.run_with()
    running.only(web(), service("x/away", *AWAY.values(), ports="t=80/TCP u=80/UDP"), *web_0, *far)
    return running


def web(**annotations: str) -> Manifest:
    return service(
        "x/web",
        *CLUSTER.values(),
        ports="t=80:30080/TCP u=80:30080/UDP",
        type="NodePort",
        externalIPs=[*EXTERNAL.values()],
        annotations={f"kube-router.io/service.{name}": value for name, value in annotations.items()},
    )


def seen(agent: DirectoryAgent, addresses: dict[Family, str], port: int = 80) -> dict[str, bool]:
    """Whether each client is seen as itself, by either protocol and family; AssertionError where these differ."""
    found = {}
    for name in CLIENTS:
        as_itself = set()
        for family in Family:
            client, vip = agent.lab.endpoint(name, family), builders.address(addresses[family])
            for protocol in SERVED:
                reply = ask(client, vip, port, protocol)
                assert isinstance(reply, Reply), (name, family, protocol, reply)
                assert reply.peer in {str(client.address), GATEWAY[family], PRIMARY[family]}
                as_itself.add(reply.peer == str(client.address))
        (found[name],) = as_itself
    return found


def only(*names: str) -> dict[str, bool]:
    return {name: name in names for name in CLIENTS}


def test_of_no_other_range_the_nodes_own_pods_are_seen_as_themselves(agent: DirectoryAgent) -> None:
    assert seen(agent, CLUSTER) == only("x/client")
    assert seen(agent, EXTERNAL) == only("x/client")
    assert seen(agent, PRIMARY, NODE_PORT) == only("x/client")
    # What the node sends to another has the address that is told there.
    assert seen(agent, AWAY) == only("x/client", "node/one")


def test_a_pod_reaches_itself_where_its_service_says_so(agent: DirectoryAgent) -> None:
    for family in Family:
        itself, vip = agent.lab.endpoint("x/web-0", family), builders.address(CLUSTER[family])
        assert ask(itself, vip, 80, seconds=SOON) is Outcome.SILENT
    agent.put(web(hairpin=""))
    assert_it_reaches_itself(agent)
    assert seen(agent, CLUSTER) == only("x/client")


def assert_it_reaches_itself(agent: DirectoryAgent) -> None:
    """By every address, and is seen as the node."""
    for family in Family:
        itself = agent.lab.endpoint("x/web-0", family)
        for address, port in ((CLUSTER[family], 80), (EXTERNAL[family], 80), (PRIMARY[family], NODE_PORT)):
            for protocol in SERVED:
                assert ask(itself, builders.address(address), port, protocol) == Reply("x/web-0", GATEWAY[family])


def test_what_is_served_is_let_in_whatever_others_refuse(agent: DirectoryAgent) -> None:
    with closed_input(agent):
        for addresses, port in ((CLUSTER, 80), (EXTERNAL, 80), (PRIMARY, NODE_PORT)):
            assert seen(agent, addresses, port) == only("x/client")
        for family in Family:
            near = agent.lab.endpoint("outside/near", family)
            assert ask(near, builders.address(PRIMARY[family]), PORT, seconds=SOON) is Outcome.SILENT


@contextmanager
def closed_input(agent: DirectoryAgent) -> Iterator[None]:
    """The node takes nothing but answers, and what keeps IPv6 alive."""
    accepted = (
        "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -p icmpv6 -j ACCEPT",
    )
    for tool in IPTABLES.values():
        for rule in accepted if tool == "ip6tables" else accepted[:2]:
            agent.lab.run(tool, *rule.split())
        agent.lab.run(tool, "-P", "INPUT", "DROP")
    try:
        yield
    finally:
        for tool in IPTABLES.values():
            agent.lab.run(tool, "-P", "INPUT", "ACCEPT")
            for rule in accepted if tool == "ip6tables" else accepted[:2]:
                agent.lab.run(tool, *rule.replace("-A", "-D", 1).split())


def test_all_pods_of_the_cluster_are_seen_as_themselves_and_all_services_hairpin_where_told(
    agent: DirectoryAgent,
) -> None:
    agent.run_with("--cluster-cidr=10.1.0.0/16,10.2.0.0/16,fd01::/64,fd02::/64", "--hairpin-mode")
    assert seen(agent, CLUSTER) == only("x/client", "x/far")
    assert seen(agent, EXTERNAL) == only("x/client", "x/far")
    assert_it_reaches_itself(agent)


def test_everybody_is_hidden_where_told_and_rules_of_others_decide(agent: DirectoryAgent) -> None:
    agent.run_with("--masquerade-all", "--ipvs-permit-all=false", "--cluster-cidr=10.1.0.0/16,fd01::/64")
    for addresses, port in ((CLUSTER, 80), (EXTERNAL, 80), (PRIMARY, NODE_PORT)):
        assert seen(agent, addresses, port) == only()
    with closed_input(agent):
        for family in Family:
            near, one = (agent.lab.endpoint(name, family) for name in ("outside/near", "node/one"))
            vip = builders.address(CLUSTER[family])
            assert ask(near, vip, 80, seconds=SOON) is Outcome.SILENT
            assert answering(one, vip, 80, times=1) == {"x/web-0": 1}
            rule = "INPUT", "-d", CLUSTER[family], "-j", "ACCEPT"
            agent.lab.run(IPTABLES[family], "-A", *rule)
            assert answering(near, vip, 80, times=1) == {"x/web-0": 1}
            agent.lab.run(IPTABLES[family], "-D", *rule)
