"""What else is at the addresses of services, and which addresses services do not get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import builders
import pytest
from vm.conversation import answering, ask
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER, EXTERNAL, FAMILIES, PRIMARY
from vm.servers import Reply, Servers
from vm.service_lab import CLIENTS, ServiceLab
from vm.service_manifests import service
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Probe, probe
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

ANYWHERE = "::"
SSH = 22


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    """A program listens on all of the node's addresses."""
    flags = "--service-external-ip-range=203.0.113.0/28,2001:db8:113::/112", "--cluster-cidr=10.1.0.0/16,10.2.0.0/16"
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent"), *flags) as agent:
        lab.refuse_everybody()
        anywhere = replace(lab.endpoint("node/one", Family.IPV6), address=builders.address(ANYWHERE))
        listening = [Place(anywhere, protocol, SSH) for protocol in (Protocol.TCP, Protocol.UDP)]
        with Servers(listening):
            yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """A service at a cluster address and an external one."""
    running.only(web(), *running.slices("x/web"))
    return running


def web() -> Manifest:
    return service("x/web", *CLUSTER.values(), externalIPs=[*EXTERNAL.values()])


@FAMILIES
def test_a_listener_of_the_node_is_not_reached_by_a_services_address(agent: DirectoryAgent, family: Family) -> None:
    for name in CLIENTS:
        client = agent.lab.endpoint(name, family)
        assert isinstance(ask(client, builders.address(PRIMARY[family]), SSH), Reply)
        for address in (CLUSTER[family], EXTERNAL[family]):
            for protocol in (Protocol.TCP, Protocol.UDP):
                assert ask(client, builders.address(address), SSH, protocol) is Outcome.REFUSED, (name, address)
            assert ask(client, builders.address(address), 80, Protocol.UDP) is Outcome.REFUSED
            assert isinstance(ask(client, builders.address(address), 80), Reply)


@FAMILIES
def test_pings_to_a_services_address_are_answered(agent: DirectoryAgent, family: Family) -> None:
    questions = [
        Probe(agent.lab.endpoint(name, family), Place(at(agent, address), Protocol.ICMP, None))
        for name in CLIENTS
        for address in (CLUSTER[family], EXTERNAL[family])
    ]
    assert set(probe(questions, expected=questions).values()) == {Outcome.REACHED}


def at(agent: DirectoryAgent, address: str) -> Endpoint:
    """The service's address on the node."""
    return Endpoint(address, agent.lab.node, builders.address(address))


@FAMILIES
def test_nobody_says_that_a_services_address_is_his(agent: DirectoryAgent, family: Family) -> None:
    lab, near = agent.lab, agent.lab.endpoint("outside/near", family)
    version = {Family.IPV4: "ipv4", Family.IPV6: "ipv6"}[family]
    quick = [f"net.{version}.neigh.eth0.{name}" for name in ("mcast_solicit=1", "retrans_time_ms=300")]
    lab.run("sysctl", "-qw", *quick, on="outside/near")
    for address, state in ((PRIMARY[family], "REACHABLE"), (CLUSTER[family], "FAILED"), (EXTERNAL[family], "FAILED")):
        way = f"{address}/{family.bits}", "dev", "eth0", "metric", "1"
        lab.run("ip", "neigh", "flush", "to", address, on="outside/near")
        lab.run("ip", "route", "add", *way, on="outside/near")
        ask(near, builders.address(address), 80, Protocol.UDP, seconds=0.05)
        wait_until(partial(is_neighbour, agent, address, state), f"{address} is {state}")
        lab.run("ip", "route", "del", *way, on="outside/near")


def is_neighbour(agent: DirectoryAgent, address: str, state: str) -> bool:
    """True where the host outside knows so much of whoever has the address on its own link."""
    return state in agent.lab.run("ip", "neigh", "show", "to", address, "dev", "eth0", on="outside/near")


# --- what is not granted


def external(name: str, cluster: str, *addresses: str, created: str = "2024-01-02T00:00:00Z") -> Manifest:
    found = service(name, cluster, externalIPs=[*addresses])
    found["metadata"]["creationTimestamp"] = created
    return found


REFUSED = {
    "192.0.2.1": "an address of node one; it is not served",
    "192.0.2.2": "an address of node two; it is not served",
    "2001:db8::2": "an address of node two; it is not served",
    "10.2.0.5": "in 10.2.0.0/16, which is for pods; it is not served",
    "fd01::5": "in fd01::/64, which is for the pods of node one; it is not served",
    "10.96.0.10": "the cluster address of service x/web; it is not served",
    "10.96.0.99": "in 10.96.0.0/12, where cluster addresses are; it is not served",
    "203.0.113.99": "outside 203.0.113.0/28 and 2001:db8:113::/112, where external addresses are; it is not served",
    "127.0.0.1": "a loopback address; it is not served",
}
"""Why a service does not get these that asks for them."""


def test_an_address_of_somebody_else_is_not_bound_and_that_is_said(agent: DirectoryAgent) -> None:
    lab = agent.lab
    lab.serve(["node/two"], 80)
    greedy = external("x/greedy", "10.96.0.20", "203.0.113.11", *REFUSED)
    with agent.having(greedy, *agent.slices("x/greedy")):
        bound = {word.partition("/")[0] for word in lab.run("ip", "-o", "addr", "show", "dev", "kube-dummy-if").split()}
        for address, reason in REFUSED.items():
            assert (address in bound) is (address == CLUSTER[Family.IPV4])
            agent.until_said(f"{address} is {reason}")
        assert agent.metric("netpol_notices", kind="Service") == len(REFUSED)
        for family in Family:
            for name in ("x/client", "node/one", "outside/near"):
                client, two = lab.endpoint(name, family), lab.endpoint("node/two", family)
                assert ask(client, two.address, 80) == Reply("node/two", str(client.address))
        near = lab.endpoint("outside/near")
        assert answering(near, builders.address("203.0.113.11"), 80, times=3) == dict.fromkeys(lab.web, 1)
        assert answering(near, builders.address("10.96.0.20"), 80, times=3) == dict.fromkeys(lab.web, 1)
    wait_until(lambda: agent.metric("netpol_notices", kind="Service") == 0, "nothing is to be told")


def test_an_older_services_address_is_not_taken_from_it(agent: DirectoryAgent) -> None:
    lab, shared = agent.lab, "203.0.113.12"
    older = external("x/older", "10.96.0.21", shared, created="2024-01-01T00:00:00Z")
    taker = external("y/taker", "10.96.0.22", shared)
    near = lab.endpoint("outside/near")
    with agent.having(taker, *taken(agent)):
        assert answering(near, builders.address(shared), 80, times=2) == {"x/web-0": 2}
        with agent.having(older, *agent.slices("x/older", ["x/web-1"])):
            assert answering(near, builders.address(shared), 80, times=2) == {"x/web-1": 2}
            agent.until_said(f"{shared} is an external address of service x/older, which comes first")
            assert agent.metric("netpol_notices", kind="Service") == 1
        assert answering(near, builders.address(shared), 80, times=2) == {"x/web-0": 2}


def taken(agent: DirectoryAgent) -> tuple[Manifest, ...]:
    """The slices of the service in the other namespace."""
    return agent.slices("y/taker", ["x/web-0"])
