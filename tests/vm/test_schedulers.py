"""Who gets the next connection: by each scheduler, and when it is switched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import builders
import pytest
from vm.conversation import Conversation, answering
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER, FAMILIES
from vm.servers import Reply
from vm.service_lab import ServiceLab
from vm.service_manifests import service
from waiting import wait_until
from world_manifests import Manifest

from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, family_of

pytestmark = pytest.mark.vm

EXTERNAL = {Family.IPV4: "203.0.113.32", Family.IPV6: "2001:db8:113::20"}
"""The first of some addresses."""
CLIENTS = {Family.IPV4: "198.51.100.64/27", Family.IPV6: "2001:db8:7::40/123"}
"""Where one host outside has addresses of many clients."""
MANY = 12
SCHEDULER, FLAGS = "kube-router.io/service.scheduler", "kube-router.io/service.schedflags"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent")) as agent:
        for family, network in CLIENTS.items():
            way = str(lab.endpoint("outside/near", family).address)
            lab.run("ip", "route", "add", network, "via", way)
            for client in clients(agent, family):
                lab.run("ip", "addr", "add", f"{client.address}/{family.bits}", "dev", "eth0", on="outside/near")
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """There are endpoints for the service that a test puts."""
    running.only(*running.slices("x/web"))
    return running


def web(scheduler: str = "", flags: str = "") -> Manifest:
    """The service, with external addresses of either family, which asks for this scheduler."""
    named = {name: word for name, word in ((SCHEDULER, scheduler), (FLAGS, flags)) if word}
    external = [str(builders.address(first) + number) for first in EXTERNAL.values() for number in range(MANY)]
    return service("x/web", *CLUSTER.values(), annotations=named, externalIPs=external)


def clients(agent: DirectoryAgent, family: Family) -> list[Endpoint]:
    """Some that differ in their addresses alone."""
    first = builders.address(CLIENTS[family].partition("/")[0])
    return [replace(agent.lab.endpoint("outside/near", family), address=first + number) for number in range(MANY)]


def scheduled(agent: DirectoryAgent, address: str) -> str:
    """What IPVS says of the virtual server at this address."""
    (line,) = [line for line in agent.virtual_servers().splitlines() if line.startswith(f"-A -t {address}:80 ")]
    return line.partition(":80 ")[2].strip()


def ask_once(client: Endpoint, address: str) -> str:
    (name,) = answering(client, builders.address(address), 80, times=1)
    return name


@pytest.mark.parametrize("scheduler", ["", "rr", "wrr"], ids=["unsaid", "rr", "wrr"])
def test_everybody_in_turn(agent: DirectoryAgent, scheduler: str) -> None:
    agent.put(web(scheduler))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == f"-s {scheduler or 'rr'}"
    for family in Family:
        client = agent.lab.endpoint("outside/near", family)
        assert answering(client, builders.address(CLUSTER[family]), 80, times=9) == dict.fromkeys(agent.lab.web, 3)


@FAMILIES
@pytest.mark.parametrize("scheduler", ["lc", "wlc", "sed", "nq"])
def test_whoever_has_the_fewest_connections(agent: DirectoryAgent, scheduler: str, family: Family) -> None:
    agent.put(web(scheduler))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == f"-s {scheduler}"
    client, vip = agent.lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    with ExitStack() as until_told:
        held = [until_told.enter_context(Conversation(client, vip, 80)) for _ in range(9)]
        assert Counter(map(name_of, held)) == dict.fromkeys(agent.lab.web, 3)
        for each in held:
            if name_of(each) == "x/web-1":
                each.close()
        wait_until(lambda: active(agent, "x/web-1", family) == 0, "its connections have ended")
        later = [until_told.enter_context(Conversation(client, vip, 80)) for _ in range(3)]
        assert [name_of(each) for each in later] == ["x/web-1"] * 3


def name_of(conversation: Conversation) -> str:
    reply = conversation.ask()
    assert isinstance(reply, Reply), reply
    return reply.name


def active(agent: DirectoryAgent, pod: str, family: Family) -> int:
    """How many connections IPVS counts for the pod that are open."""
    address = agent.lab.endpoint(pod, family).address
    host = f"[{address}]" if family is Family.IPV6 else str(address)
    lines = [line.split() for line in agent.lab.run("ipvsadm", "-Ln").splitlines()]
    return sum(int(words[4]) for words in lines if words[:2] == ["->", f"{host}:8080"])


@FAMILIES
@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_a_client_always_comes_to_the_same_pod(agent: DirectoryAgent, scheduler: str, family: Family) -> None:
    agent.put(web(scheduler))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == f"-s {scheduler}"
    found = [answering(client, builders.address(CLUSTER[family]), 80, times=4) for client in clients(agent, family)]
    assert [len(each) for each in found] == [1] * MANY
    assert len({name for each in found for name in each}) > 1


@FAMILIES
def test_an_address_is_always_answered_by_the_same_pod(agent: DirectoryAgent, family: Family) -> None:
    agent.put(web("dh"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s dh"
    by_address = [
        Counter(ask_once(client, str(builders.address(EXTERNAL[family]) + number)) for client in clients(agent, family))
        for number in range(MANY)
    ]
    assert [len(each) for each in by_address] == [1] * MANY
    assert len({name for each in by_address for name in each}) > 1


def test_flags_are_the_schedulers_and_do_what_they_say(agent: DirectoryAgent) -> None:
    agent.put(web("sh", "sh-port, sh-fallback"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s sh -b sh-fallback,sh-port"
    for family in Family:
        # With its port a client is as many as it has connections.
        client = agent.lab.endpoint("outside/near", family)
        assert len(answering(client, builders.address(CLUSTER[family]), 80, times=20)) > 1
    agent.put(web("mh", "flag-2"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s mh -b mh-port"
    agent.put(web("mh"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s mh"


def test_connections_stay_where_they_are_when_the_scheduler_is_switched(agent: DirectoryAgent) -> None:
    agent.put(web())
    with ExitStack() as until_told:
        held = [
            until_told.enter_context(Conversation(client, builders.address(CLUSTER[family_of(client.address)]), 80))
            for family in Family
            for client in clients(agent, family)[:6]
        ]
        first = [name_of(each) for each in held]
        assert Counter(first) == dict.fromkeys(agent.lab.web, 4)
        for scheduler in ("lc", "sh", "dh", "rr"):
            agent.put(web(scheduler))
            for address in ("10.96.0.10", "[fd00:96::10]"):
                assert scheduled(agent, address) == f"-s {scheduler}"
            assert [name_of(each) for each in held] == first


def test_instead_of_a_scheduler_that_the_kernel_lacks_everybody_in_turn_and_a_word_about_it(
    agent: DirectoryAgent,
) -> None:
    agent.put(web("fastest"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s rr"
    client = agent.lab.endpoint("outside/near")
    assert answering(client, builders.address(CLUSTER[Family.IPV4]), 80, times=3) == dict.fromkeys(agent.lab.web, 1)
    agent.until_said("the kernel has no scheduler 'fastest': rr is used instead")
    assert agent.metric("netpol_notices", kind="Service") == 1
    agent.put(web("lc"))
    assert scheduled(agent, CLUSTER[Family.IPV4]) == "-s lc"
    wait_until(lambda: agent.metric("netpol_notices", kind="Service") == 0, "nothing is to be told")
