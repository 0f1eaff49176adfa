"""Nobody is turned away while endpoints roll and schedulers are switched: clients that never stop asking see to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import builders
import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.families import CLUSTER, EXTERNAL, NODE_PORT
from vm.servers import Servers
from vm.service_lab import ServiceLab
from vm.service_node import ServiceNode
from vm.steady_clients import Question, SteadyClients

from netpol.lab.listeners import Place
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol
from netpol.model.services import EndpointSlice
from netpol.settings import ProxySettings
from proxy.model import HeldDestination

pytestmark = pytest.mark.vm

PORT = 9090
SERVICE = service(
    "x/web", " ".join(CLUSTER.values()), ports=f"80:{NODE_PORT}/TCP", external=" ".join(EXTERNAL.values())
)
GRACE_SECONDS = 1.0


class WebPods:
    """Pods that serve on a port of their own, each of which can end without the others."""

    def __init__(self, lab: ServiceLab) -> None:
        self._lab = lab
        self._open = ExitStack()
        self._serving: dict[str, Servers] = {}
        for name in lab.web:
            self.begin(name)

    def begin(self, name: str) -> None:
        """The pod serves."""
        places = [Place(each, Protocol.TCP, PORT) for each in self._lab.lab.endpoints(name)]
        self._serving[name] = self._open.enter_context(Servers(places))

    def end(self, name: str) -> None:
        """The pod's process has ended: who asks it is refused, and who is connected is cut off."""
        self._serving.pop(name).close()

    def close(self) -> None:
        """Nobody serves."""
        for each in self._serving.values():
            each.close()


@pytest.fixture
def web(service_lab: ServiceLab) -> Iterator[WebPods]:
    pods = WebPods(service_lab)
    yield pods
    pods.close()


def slice_of(lab: ServiceLab, pods: Iterable[str]) -> EndpointSlice:
    """These pods are ready."""
    ends = (endpoint(str(each.address), "one") for name in pods for each in lab.lab.endpoints(name))
    return endpoint_slice("x/web-1", "web", *ends, ports=f"{PORT}/TCP")


def questions(lab: ServiceLab) -> list[Question]:
    """In either family a pod, a host outside and the node itself ask the cluster address, an external one, a port."""
    found = []
    for family in Family:
        node, outside = lab.endpoint("node/one", family), lab.endpoint("outside/near", family)
        cluster, external = builders.address(CLUSTER[family]), builders.address(EXTERNAL[family])
        found += [
            Question(lab.endpoint("x/client", family), cluster, 80),
            Question(node, cluster, 80),
            Question(outside, external, 80),
            Question(outside, node.address, NODE_PORT),
        ]
    return found


def test_no_request_fails_while_endpoints_roll(service_lab: ServiceLab, web: WebPods) -> None:
    settings = ProxySettings(graceful_seconds=GRACE_SECONDS)
    every = slice_of(service_lab, service_lab.web)
    with (
        ServiceNode(service_lab, SERVICE, every, settings=settings) as node,
        SteadyClients(service_lab, questions(service_lab)) as clients,
    ):
        for name in service_lab.web:
            gone = {each.address for each in service_lab.lab.endpoints(name)}
            node.put(slice_of(service_lab, [other for other in service_lab.web if other != name]))
            node.until(partial(is_idle, node, gone), f"{name} has nothing to do")
            web.end(name)
            node.until(partial(is_unknown, node, gone), f"{name} is gone")
            clients.go_on(2)
            web.begin(name)
            node.put(every)
            node.until(partial(serves, node, gone), f"{name} serves again")
            clients.go_on(2)
    assert clients.unanswered == []
    assert clients.answerers == set(service_lab.web)


def test_no_request_fails_while_schedulers_are_switched(service_lab: ServiceLab, web: WebPods) -> None:
    every = slice_of(service_lab, service_lab.web)
    with (
        ServiceNode(service_lab, SERVICE, every) as node,
        SteadyClients(service_lab, questions(service_lab)) as clients,
    ):
        for scheduler in ("lc", "sh", "dh", "rr") * 3:
            node.put(replace(SERVICE, scheduler=scheduler))
            node.until(partial(is_scheduled, node, scheduler), f"{scheduler} everywhere")
            clients.go_on(1)
    assert clients.unanswered == []
    assert clients.answerers == set(service_lab.web)


def found(node: ServiceNode, addresses: set[Address]) -> list[HeldDestination]:
    """Each of the addresses, in each virtual server that has it."""
    held = (pair for server in node.servers().values() for pair in server.destinations.items())
    return [each for to, each in held if to.address in addresses]


def is_unknown(node: ServiceNode, addresses: set[Address]) -> bool:
    """True where no virtual server has any of the addresses."""
    return not found(node, addresses)


def is_idle(node: ServiceNode, addresses: set[Address]) -> bool:
    """True where none of the addresses gets connections, or has one that is not being closed."""
    return not any(each.weight or each.active for each in found(node, addresses))


def serves(node: ServiceNode, addresses: set[Address]) -> bool:
    """True where every virtual server gives connections to the address of its family."""
    held = found(node, addresses)
    return len(held) == len(node.servers()) and all(each.weight for each in held)


def is_scheduled(node: ServiceNode, scheduler: str) -> bool:
    """True where every virtual server is scheduled so."""
    return {each.scheduling.scheduler for each in node.servers().values()} == {scheduler}
