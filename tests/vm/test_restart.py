"""The agent may be stopped, killed and started again at any moment: services go on, and it writes what has changed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from subprocess import PIPE, Popen

import builders
import pytest
from vm.conversation import Conversation
from vm.directory_agent import DirectoryAgent
from vm.families import CLUSTER
from vm.kernel_lines import kernel_lines, what_is_counted
from vm.servers import Reply
from vm.service_lab import ServiceLab
from vm.service_manifests import service
from vm.steady_clients import Question, SteadyClients
from world_manifests import Manifest

from netpol.model.networks import Family

pytestmark = pytest.mark.vm

WEB = service("x/web", *CLUSTER.values(), ports="80:30080/TCP", externalIPs=["203.0.113.10"])
SPARE_VIP = "fd00:96::20"
SPARE = service("x/spare", SPARE_VIP)
CARRIED = ("total_connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
ENDS = 4
SEED = 20
MOST_ANSWERS = 12
"""As many as a client gets while the agent notices a change and brings it to the kernel."""
SCHEDULERS = ("rr", "lc", "sh", "dh")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    flags = ("--ipvs-graceful-period=1s",)
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent"), *flags) as agent:
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """It runs, and all pods are behind the service."""
    running.run_with()
    running.only(WEB, *running.slices("x/web"))
    return running


def steady(lab: ServiceLab) -> SteadyClients:
    """A pod, the node and hosts outside ask without end, in either family."""
    four, six = (builders.address(vip) for vip in CLUSTER.values())
    asked = (
        Question(lab.endpoint("x/client"), four, 80),
        Question(lab.endpoint("node/one", Family.IPV6), six, 80),
        Question(lab.endpoint("outside/near", Family.IPV6), six, 80),
        Question(lab.endpoint("outside/far"), builders.address("203.0.113.10"), 80),
    )
    return SteadyClients(lab, asked)


def scheduled(scheduler: str) -> Manifest:
    """The service, with this scheduler."""
    metadata = {**WEB["metadata"], "annotations": {"kube-router.io/service.scheduler": scheduler}}
    return {**WEB, "metadata": metadata}


def some(chance: random.Random, pods: Sequence[str]) -> list[str]:
    """Any of them, but at least one."""
    return chance.sample(pods, chance.randint(1, len(pods)))


def test_a_restart_with_nothing_changed_writes_nothing(agent: DirectoryAgent) -> None:
    lab = agent.lab
    client = lab.endpoint("outside/near")
    with Conversation(client, builders.address(CLUSTER[Family.IPV4]), 80) as held:
        reply = held.ask()
        before, counted = kernel_lines(lab), what_is_counted(lab)
        assert any("10.96.0.10:80" in line for line in counted)
        said = len(agent.said)
        with lab.node.entered():
            monitor = Popen(["ip", "monitor", "link", "address", "route", "rule"], stdout=PIPE, text=True)
        agent.restart()
        assert (kernel_lines(lab), what_is_counted(lab)) == (before, counted)
        monitor.terminate()
        heard, _ = monitor.communicate()
        assert heard == ""
        assert ' services programmed done="nothing to change" ' in agent.said[said:]
        assert isinstance(reply, Reply)
        assert held.ask() == reply


def test_no_request_fails_while_the_agent_is_stopped_and_killed(agent: DirectoryAgent) -> None:
    lab, chance = agent.lab, random.Random(SEED)
    with steady(lab) as clients:
        for number in range(ENDS):
            agent.say(scheduled(chance.choice(SCHEDULERS)), *agent.slices("x/web", some(chance, lab.web)))
            clients.go_on(chance.randint(1, MOST_ANSWERS))
            if number % 2:
                agent.stop()
            else:
                agent.kill()
            clients.go_on(2)
            agent.start()
            clients.go_on(2)
        agent.only(WEB, *agent.slices("x/web"))
        clients.go_on(3)
    assert clients.unanswered == []
    assert clients.answerers == set(lab.web)


def test_what_services_carry_is_told(agent: DirectoryAgent) -> None:
    agent.put(SPARE, *agent.slices("x/spare"))
    client = agent.lab.endpoint("outside/far", Family.IPV6)
    before = carried(agent)
    with Conversation(client, builders.address(SPARE_VIP), 80) as asking:
        assert [isinstance(asking.ask(), Reply) for _ in range(3)] == [True] * 3
    # IPVS adds up what it has counted every two seconds.
    agent.until("it is counted", lambda: carried(agent)["packets_in"] >= before["packets_in"] + 6)
    more = {name: number - before[name] for name, number in carried(agent).items()}
    assert more["total_connections"] == 1
    assert more["packets_in"] >= 6
    assert more["packets_out"] >= 5
    assert more["bytes_in"] > 6 * 40
    assert more["bytes_out"] > 5 * 40
    syncs = agent.metric("kubeproxy_sync_proxy_rules_duration_seconds_count")
    agent.put(*agent.slices("x/spare", ["x/web-1"]))
    assert agent.metric("kubeproxy_sync_proxy_rules_duration_seconds_count") > syncs


def carried(agent: DirectoryAgent) -> dict[str, float]:
    """What the spare service has carried."""
    labels = {"svc_namespace": "x", "service_name": "spare", "service_vip": SPARE_VIP}
    return {name: agent.metric(f"kube_router_service_{name}", **labels) for name in CARRIED}
