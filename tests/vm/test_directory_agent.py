"""The agent in the lab does what tests of it rely on."""

from __future__ import annotations

from collections.abc import Iterator

import builders
import pytest
from vm.conversation import answering, ask
from vm.directory_agent import DirectoryAgent
from vm.service_lab import ServiceLab
from vm.service_manifests import service

from netpol.lab.prober import Outcome

pytestmark = pytest.mark.vm

VIP = "10.96.0.10"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryAgent]:
    with ServiceLab() as lab, DirectoryAgent(lab, tmp_path_factory.mktemp("agent")) as agent:
        yield agent


@pytest.fixture
def agent(running: DirectoryAgent) -> DirectoryAgent:
    """It runs, and there is no service."""
    running.run_with()
    running.only()
    return running


def test_what_is_put_is_served_and_what_is_removed_is_not(agent: DirectoryAgent) -> None:
    client, vip = agent.lab.endpoint("outside/near"), builders.address(VIP)
    with agent.having(service("x/web", VIP), *agent.slices("x/web")):
        assert answering(client, vip, 80, times=6) == dict.fromkeys(agent.lab.web, 2)
    assert agent.virtual_servers() == ""
    assert ask(client, vip, 80) is Outcome.REFUSED


def test_what_it_served_goes_on_being_served_while_it_is_away(agent: DirectoryAgent) -> None:
    client, vip = agent.lab.endpoint("outside/near"), builders.address(VIP)
    web = service("x/web", VIP), *agent.slices("x/web")
    agent.put(*web)
    agent.kill()
    assert answering(client, vip, 80, times=3) == dict.fromkeys(agent.lab.web, 1)
    agent.remove(*web)
    assert answering(client, vip, 80, times=3) == dict.fromkeys(agent.lab.web, 1)
    agent.start()
    assert agent.virtual_servers() == ""


def test_its_metrics_are_read(agent: DirectoryAgent) -> None:
    assert agent.metric("netpol_proxy_in_sync") == 1
