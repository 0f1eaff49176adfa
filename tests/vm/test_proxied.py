"""The agent in the lab does what tests of it rely on."""

from __future__ import annotations

from collections.abc import Iterator

import builders
import pytest
from vm.conversation import answering, ask
from vm.proxied import Proxied, service
from vm.service_lab import ServiceLab

from netpol.lab.prober import Outcome

pytestmark = pytest.mark.vm

VIP = "10.96.0.10"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with ServiceLab() as lab, Proxied(lab, tmp_path_factory.mktemp("proxied")) as proxied:
        yield proxied


def test_what_is_put_is_served_and_what_is_removed_is_not(proxied: Proxied) -> None:
    client, vip = proxied.lab.endpoint("outside/near"), builders.address(VIP)
    with proxied.having(service("x/web", VIP), *proxied.slices("x/web")):
        assert answering(client, vip, 80, times=6) == dict.fromkeys(proxied.lab.web, 2)
    assert proxied.virtual_servers() == ""
    assert ask(client, vip, 80) is Outcome.REFUSED


def test_what_it_served_goes_on_being_served_while_it_is_away(proxied: Proxied) -> None:
    client, vip = proxied.lab.endpoint("outside/near"), builders.address(VIP)
    web = service("x/web", VIP), *proxied.slices("x/web")
    proxied.put(*web)
    proxied.kill()
    assert answering(client, vip, 80, times=3) == dict.fromkeys(proxied.lab.web, 1)
    proxied.remove(*web)
    assert answering(client, vip, 80, times=3) == dict.fromkeys(proxied.lab.web, 1)
    proxied.start()
    assert proxied.virtual_servers() == ""


def test_its_metrics_are_read(proxied: Proxied) -> None:
    assert proxied.metric("netpol_proxy_in_sync") == 1
