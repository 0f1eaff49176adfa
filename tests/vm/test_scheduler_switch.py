"""What clients meet between the first message of a switch of schedulers and the last, where no test can stop.

The rules are those that the proxy left; the member is put there by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

import builders
import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.conversation import Conversation, ask
from vm.families import CLUSTER, FAMILIES
from vm.servers import Reply
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode

from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

WEB = service("x/web", " ".join(CLUSTER.values()), ports="t=80/TCP s=80/SCTP")


@pytest.fixture(scope="module")
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        built.serve(built.web, PORT, [Protocol.SCTP])
        ends = (endpoint(str(each.address), "one") for pod in built.web for each in built.lab.endpoints(pod))
        with ServiceNode(built, WEB, endpoint_slice("x/web-1", "web", *ends, ports=f"t={PORT}/TCP s={PORT}/SCTP")):
            pass
        yield built


@FAMILIES
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP], ids=lambda protocol: protocol.value)
@pytest.mark.parametrize("client", ["x/client", "outside/near"])
def test_who_connects_hears_nothing_yet_and_who_is_connected_goes_on(
    lab: ServiceLab, client: str, protocol: Protocol, family: Family
) -> None:
    asking, vip = lab.endpoint(client, family), builders.address(CLUSTER[family])
    name, member = f"NETPOL-SERVICE-SWITCHING-{family.value}", f"{vip},{protocol.value.lower()}:80"
    with Conversation(asking, vip, 80, protocol) as held:
        before = held.ask()
        assert isinstance(before, Reply)
        lab.run("ipset", "add", name, member)
        assert ask(asking, vip, 80, protocol, seconds=0.5) is Outcome.SILENT
        assert held.ask() == before
        lab.run("ipset", "del", name, member)
        assert isinstance(ask(asking, vip, 80, protocol), Reply)
