"""Connections to services whose endpoints are gone, and clients that use a port again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import builders
import pytest
from vm.conversation import Conversation, answering, ask
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER, EXTERNAL, FAMILIES, NODE_PORT, PRIMARY
from vm.servers import Reply
from vm.service_lab import CLIENTS, SERVED, ServiceLab
from vm.service_manifests import SLICE_PORTS, endpoint_slice, service
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

OWN_PORT = 40000


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent")) as agent:
        lab.refuse_everybody()
        # A client may use its port again at once: nothing of its own remembers the connection.
        lab.run("sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=0", on="outside/near")
        web = service(
            "x/web",
            *CLUSTER.values(),
            ports="t=80:30080/TCP u=80:30080/UDP",
            type="NodePort",
            externalIPs=[*EXTERNAL.values()],
        )
        agent.put(web)
        yield agent


def slices(agent: DirectoryAgent, pods: Iterable[str]) -> tuple[Manifest, ...]:
    """The service's slices, with these pods alone."""
    named = list(pods)
    if named:
        return agent.slices("x/web", named, SLICE_PORTS)
    return tuple(endpoint_slice(f"x/web-{family.value}", "x/web", ports=SLICE_PORTS) for family in Family)


def repeated(agent: DirectoryAgent) -> int:
    """How many segments the client has sent again, which it does after a second without an answer."""
    lines = agent.lab.run("cat", "/proc/net/snmp", on="outside/near").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(dict(zip(names, values, strict=True))["RetransSegs"])


@FAMILIES
def test_a_client_that_uses_its_port_again_does_not_wait(agent: DirectoryAgent, family: Family) -> None:
    agent.put(*slices(agent, agent.lab.web))
    client, before = agent.lab.endpoint("outside/near", family), repeated(agent)
    for address, port in ((CLUSTER[family], 80), (PRIMARY[family], NODE_PORT)):
        for _ in range(20):
            with Conversation(client, builders.address(address), port, own_port=OWN_PORT) as asked:
                assert isinstance(asked.ask(), Reply)
                asked.finish()
    assert repeated(agent) == before


@FAMILIES
@pytest.mark.parametrize("protocol", SERVED, ids=lambda protocol: protocol.value)
def test_a_client_that_uses_its_port_again_comes_to_no_endpoint_that_is_gone(
    agent: DirectoryAgent, protocol: Protocol, family: Family
) -> None:
    agent.put(*slices(agent, agent.lab.web))
    client, vip = agent.lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    before, left = repeated(agent), list(agent.lab.web)
    while len(left) > 1:
        with Conversation(client, vip, 80, protocol, own_port=OWN_PORT + 1) as asked:
            reply = asked.ask()
            assert isinstance(reply, Reply)
            assert reply.name in left
        left.remove(reply.name)
        agent.put(*slices(agent, left))
    with Conversation(client, vip, 80, protocol, own_port=OWN_PORT + 1) as asked:
        assert asked.ask() == Reply(left[0], asked_from(family))
    assert repeated(agent) == before


def asked_from(family: Family) -> str:
    """Who clients outside are seen as."""
    return {Family.IPV4: "10.1.0.1", Family.IPV6: "fd01::1"}[family]


@FAMILIES
def test_after_the_last_endpoint_everybody_is_refused(agent: DirectoryAgent, family: Family) -> None:
    agent.put(*slices(agent, agent.lab.web))
    ways = (CLUSTER[family], 80), (EXTERNAL[family], 80), (PRIMARY[family], NODE_PORT)
    near = agent.lab.endpoint("outside/near", family)
    with Conversation(near, builders.address(CLUSTER[family]), 80, Protocol.UDP, seconds=0.5) as held:
        assert isinstance(held.ask(), Reply)
        agent.put(*slices(agent, ()))
        questions = [
            (agent.lab.endpoint(name, family), builders.address(address), port, protocol)
            for name in CLIENTS
            for address, port in ways
            for protocol in SERVED
        ]
        # A client that the refusal reaches while it is still in connect(), as it may where all is one machine, hears
        # only of the next one, a second later.
        with ThreadPoolExecutor(len(questions)) as pool:
            answers = list(pool.map(lambda question: ask(*question), questions))
        assert answers == [Outcome.REFUSED] * len(questions), list(zip(questions, answers, strict=True))
        wait_until(lambda: held.ask() is Outcome.REFUSED, "what was served is refused too")
    agent.put(*slices(agent, ["x/web-2"]))
    for protocol in SERVED:
        assert answering(near, builders.address(CLUSTER[family]), 80, protocol, times=2) == {"x/web-2": 2}
