"""What becomes of connections to an endpoint that is gone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

import builders
import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.conversation import Conversation, answering
from vm.families import CLUSTER, FAMILIES
from vm.servers import Reply
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode

from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.services import EndpointSlice
from netpol.settings import ProxySettings

pytestmark = pytest.mark.vm

KEYS = {Family.IPV4: "10.96.0.10:80", Family.IPV6: "[fd00:96::10]:80"}
SERVICE = service("x/web", " ".join(CLUSTER.values()), ports="http=80/TCP dns=80/UDP")
OTHER = service("x/other", "10.96.0.20")
NAMES = {Family.IPV4: "ipv4", Family.IPV6: "ipv6"}
GRACE_SECONDS = 2.0
LONG, SHORT, NONE = (pytest.mark.parametrize("kept", [each], indirect=True) for each in (60.0, GRACE_SECONDS, 0.0))
OWN_PORT = 40000
DRAINING = "netpol_proxy_draining"


@pytest.fixture(scope="module")
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        yield built


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest, lab: ServiceLab) -> Iterator[ServiceNode]:
    """The node with the service, and this much grace for endpoints that are gone."""
    settings = ProxySettings(graceful_seconds=request.param)
    with ServiceNode(lab, SERVICE, slice_of(lab, lab.web), settings=settings) as node:
        yield node


@pytest.fixture
def node(kept: ServiceNode, lab: ServiceLab) -> ServiceNode:
    """The node, with all pods ready and nothing that drains."""
    kept.put(slice_of(lab, lab.web))
    for family in Family:
        kept.until_weights(f"{KEYS[family]}/TCP", places(lab, family, 1, 1, 1))
    return kept


def slice_of(lab: ServiceLab, pods: Iterable[str]) -> EndpointSlice:
    """These pods are ready."""
    ends = (endpoint(str(each.address), "one") for name in pods for each in lab.lab.endpoints(name))
    return endpoint_slice("x/web-1", "web", *ends, ports=f"http={PORT}/TCP dns={PORT}/UDP")


def place(lab: ServiceLab, pod: str, family: Family) -> str:
    """The pod as a destination."""
    address = lab.endpoint(pod, family).address
    return f"[{address}]:{PORT}" if family is Family.IPV6 else f"{address}:{PORT}"


def places(lab: ServiceLab, family: Family, *weights: int) -> dict[str, int]:
    """The weights of the pods that serve, one after the other."""
    return {place(lab, pod, family): weight for pod, weight in zip(lab.web, weights, strict=True)}


def open_to(lab: ServiceLab, pod: str, family: Family) -> Conversation:
    """A connection of a host outside, through the service, that this pod answers."""
    client, vip = lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    for _ in lab.web:
        opened = Conversation(client, vip, 80)
        reply = opened.ask()
        if isinstance(reply, Reply) and reply.name == pod:
            return opened
        opened.close()
    raise AssertionError(f"no connection came to {pod}")


def is_past(moment: float) -> bool:
    """True after that moment."""
    return time.monotonic() > moment


def is_forgotten(lab: ServiceLab, pod: str, family: Family) -> bool:
    """True where conntrack sends no datagrams to the pod."""
    return str(lab.endpoint(pod, family).address) not in lab.run("conntrack", "-L", "-p", "udp", "-f", NAMES[family])


@LONG
@FAMILIES
def test_a_held_connection_goes_on_and_no_other_comes(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    key, client = f"{KEYS[family]}/TCP", lab.endpoint("x/client", family)
    with open_to(lab, "x/web-0", family) as held:
        node.put(slice_of(lab, lab.web[1:]))
        node.until_weights(key, places(lab, family, 0, 1, 1))
        answers = answering(client, builders.address(CLUSTER[family]), 80, times=6)
        assert answers == {"x/web-1": 3, "x/web-2": 3}
        assert node.metric(DRAINING) >= 1
        reply = held.ask()
        assert isinstance(reply, Reply)
        assert reply.name == "x/web-0"
        assert node.weights(key) == places(lab, family, 0, 1, 1)


@LONG
def test_what_has_no_connection_is_gone_soon(lab: ServiceLab, node: ServiceNode) -> None:
    node.put(endpoint_slice("x/other-1", "other", endpoint("10.1.0.5"), endpoint("10.1.0.6")), OTHER)
    node.until_weights("10.96.0.20:80/TCP", {"10.1.0.5:80": 1, "10.1.0.6:80": 1})
    node.put(endpoint_slice("x/other-1", "other", endpoint("10.1.0.6")))
    node.until_weights("10.96.0.20:80/TCP", {"10.1.0.6:80": 1})


@LONG
@FAMILIES
def test_datagrams_of_a_client_that_keeps_its_port_go_to_a_living_endpoint(
    lab: ServiceLab, node: ServiceNode, family: Family
) -> None:
    client, vip = lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    with Conversation(client, vip, 80, Protocol.UDP, own_port=OWN_PORT) as asking:
        ready = set(lab.web)
        while len(ready) > 1:
            reply = asking.ask()
            assert isinstance(reply, Reply)
            ready.remove(reply.name)
            node.put(slice_of(lab, ready))
            node.until(partial(is_forgotten, lab, reply.name, family), f"the flow to {reply.name} is forgotten")
            following = asking.ask()
            assert isinstance(following, Reply)
            assert following.name in ready
            assert following.peer == reply.peer


@SHORT
@FAMILIES
def test_a_held_connection_is_cut_when_the_grace_is_over(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    key = f"{KEYS[family]}/TCP"
    with open_to(lab, "x/web-0", family) as held:
        node.put(slice_of(lab, lab.web[1:]))
        node.until_weights(key, places(lab, family, 0, 1, 1))
        assert isinstance(held.ask(), Reply)
        node.until(lambda: len(node.weights(key) or {}) == 2, "what drained is gone")
        assert held.ask() in (Outcome.REFUSED, Outcome.SILENT)


@SHORT
@FAMILIES
def test_an_endpoint_that_comes_back_takes_its_connections_up_again(
    lab: ServiceLab, node: ServiceNode, family: Family
) -> None:
    key, client = f"{KEYS[family]}/TCP", lab.endpoint("x/client", family)
    with open_to(lab, "x/web-0", family) as held:
        node.put(slice_of(lab, lab.web[1:]))
        node.until_weights(key, places(lab, family, 0, 1, 1))
        node.put(slice_of(lab, lab.web))
        node.until_weights(key, places(lab, family, 1, 1, 1))
        over = time.monotonic() + GRACE_SECONDS
        assert answering(client, builders.address(CLUSTER[family]), 80, times=6) == dict.fromkeys(lab.web, 2)
        node.until(partial(is_past, over), "the grace that it had is over")
        assert isinstance(held.ask(), Reply)
        assert node.weights(key) == places(lab, family, 1, 1, 1)


@NONE
@FAMILIES
def test_without_grace_connections_are_cut_at_once(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    with open_to(lab, "x/web-0", family) as held:
        node.put(slice_of(lab, lab.web[1:]))
        node.until(lambda: len(node.weights(f"{KEYS[family]}/TCP") or {}) == 2, "it is gone")
        assert held.ask() in (Outcome.REFUSED, Outcome.SILENT)
        assert node.metric(DRAINING) == 0
