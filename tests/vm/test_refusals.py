"""What asks for a service without endpoints is refused at once, however often, and by whichever way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import builders
import pytest
from proxy_builders import draining, endpoint, endpoint_slice, service, unready
from vm.conversation import Conversation, answering, ask
from vm.families import BALANCER, CLUSTER, EXTERNAL, FAMILIES, NODE_PORT, PRIMARY
from vm.servers import Reply, Servers
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode
from vm.shown_namespaces import ShownNamespaces
from vm.steady_clients import Question, SteadyClients

from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.model.services import Endpoint as PodEndpoint
from netpol.model.services import EndpointSlice, TrafficPolicy

pytestmark = pytest.mark.vm

CLIENTS = ("x/client", "node/one", "outside/near")
HEARD_AT_ONCE = [
    (client, family) for client in CLIENTS for family in Family if (client, family) != ("node/one", Family.IPV6)
]
"""But of IPv6's clients on the node: IPVS takes what the node sends before INPUT sees it, and refuses by ICMP, which a
client does not hear that is still in connect(); it is refused when it asks again, a second later."""
IN_A_ROW, WITHIN_SECONDS = 30, 1.0
"""Of ICMP the kernel sends one client six at once, and then one a second."""

WEB = service(
    "x/web",
    " ".join(CLUSTER.values()),
    ports=f"t=80:{NODE_PORT}/TCP u=80:{NODE_PORT}/UDP s=80:{NODE_PORT}/SCTP",
    external=" ".join(EXTERNAL.values()),
    load_balancer=" ".join(BALANCER.values()),
    sources="10.1.0.0/24 fd01::/64",
)
DIRECT = replace(
    service("x/direct", "10.96.0.20 fd00:96::20", ports=f"{PORT}/TCP", external="203.0.113.30 2001:db8:113::30"),
    direct_return=True,
)
DIRECTLY = {Family.IPV4: "203.0.113.30", Family.IPV6: "2001:db8:113::30"}


@pytest.fixture(scope="module")
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        built.serve(built.web, PORT, [Protocol.SCTP])
        yield built


@pytest.fixture(scope="module")
def running(lab: ServiceLab) -> Iterator[ServiceNode]:
    with ShownNamespaces(lab, lab.web), ServiceNode(lab, WEB) as node:
        yield node


@pytest.fixture
def node(running: ServiceNode, lab: ServiceLab) -> ServiceNode:
    """The node, with the service and no endpoint of it."""
    running.put(WEB, slice_of(lab, ()))
    running.until(lambda: is_refused(lab), "it is refused")
    return running


def slice_of(
    lab: ServiceLab, pods: Iterable[str], made: Callable[[str, str], PodEndpoint] = endpoint, name: str = "x/web-1"
) -> EndpointSlice:
    """These pods, ready or as they are `made`."""
    ends = (made(str(each.address), "one") for pod in pods for each in lab.lab.endpoints(pod))
    return endpoint_slice(name, "web", *ends, ports=f"t={PORT}/TCP u={PORT}/UDP s={PORT}/SCTP")


def refused(lab: ServiceLab) -> str:
    """The members of the sets of servers without endpoints."""
    sets = (lab.run("ipset", "save", f"NETPOL-SERVICE-EMPTY-{family.value}") for family in Family)
    return "".join(sets)


def is_refused(lab: ServiceLab) -> bool:
    """True where nobody serves the service, in either family."""
    return all(f"{address},tcp:80\n" in refused(lab) for address in CLUSTER.values())


def is_served(lab: ServiceLab) -> bool:
    """True where the service has endpoints everywhere."""
    return not any(f"{address},tcp:" in refused(lab) for ways in (CLUSTER, PRIMARY) for address in ways.values())


def ways(family: Family) -> tuple[tuple[str, int], ...]:
    """What the service is asked for by: its cluster address, an external one, its node port."""
    return (CLUSTER[family], 80), (EXTERNAL[family], 80), (PRIMARY[family], NODE_PORT)


def assert_refused_in_a_row(client: Endpoint, address: str, port: int, protocol: Protocol = Protocol.TCP) -> None:
    """So many questions were refused, one after the other, in so short a time."""
    began = time.monotonic()
    answers = [ask(client, builders.address(address), port, protocol) for _ in range(IN_A_ROW)]
    took = time.monotonic() - began
    assert answers == [Outcome.REFUSED] * IN_A_ROW
    assert took < WITHIN_SECONDS, (address, port)


@pytest.mark.parametrize(("client", "family"), HEARD_AT_ONCE)
def test_every_client_is_refused_at_once_however_often_it_asks(
    lab: ServiceLab, node: ServiceNode, client: str, family: Family
) -> None:
    for address, port in ways(family):
        assert_refused_in_a_row(lab.endpoint(client, family), address, port)


def test_the_node_itself_is_refused_by_ipv6_too(lab: ServiceLab, node: ServiceNode) -> None:
    for address, port in ways(Family.IPV6):
        asking = lab.endpoint("node/one", Family.IPV6)
        assert ask(asking, builders.address(address), port) is Outcome.REFUSED


@FAMILIES
def test_datagrams_are_refused_too(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    """As many as the kernel is willing to send ICMP for."""
    lab.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    for client in CLIENTS:
        for address, port in ways(family):
            asked = ask(lab.endpoint(client, family), builders.address(address), port, Protocol.UDP)
            assert asked is Outcome.REFUSED, (client, address)
    lab.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=1000", "net.ipv6.icmp.ratelimit=1000")


@FAMILIES
def test_no_listener_of_the_host_answers_at_a_node_port(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    own = lab.endpoint("node/one", family)
    protocols = Protocol.TCP, Protocol.UDP
    with Servers([Place(own, protocol, NODE_PORT) for protocol in protocols]):
        for client in ("x/client", "outside/near"):
            asking = lab.endpoint(client, family)
            assert_refused_in_a_row(asking, PRIMARY[family], NODE_PORT)
            assert not isinstance(ask(asking, own.address, NODE_PORT, Protocol.UDP, seconds=0.5), Reply)
        for protocol in protocols:
            assert not isinstance(ask(own, own.address, NODE_PORT, protocol), Reply)
        node.drop(WEB)
        node.until(lambda: not refused(lab).count("add"), "the service is gone")
        for protocol in protocols:
            reply = ask(lab.endpoint("outside/near", family), own.address, NODE_PORT, protocol)
            assert isinstance(reply, Reply)
            assert reply.name == "node/one"


@FAMILIES
@pytest.mark.parametrize("affinity", [None, 600], ids=["for anybody", "for clients that stay"])
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.SCTP], ids=lambda protocol: protocol.value)
def test_the_last_endpoint_keeps_its_connections_while_others_are_refused(
    lab: ServiceLab, node: ServiceNode, protocol: Protocol, affinity: int | None, family: Family
) -> None:
    node.put(replace(WEB, affinity_seconds=affinity), slice_of(lab, ["x/web-0"]))
    node.until(lambda: is_served(lab), "it is served")
    client = lab.endpoint("outside/near", family)
    with ExitStack() as stack:
        held = [
            stack.enter_context(Conversation(client, builders.address(address), port, protocol))
            for address, port in ways(family)
        ]
        before = [each.ask() for each in held]
        assert {each.name for each in before if isinstance(each, Reply)} == {"x/web-0"}
        node.put(slice_of(lab, ()))
        node.until(lambda: is_refused(lab), "it is refused")
        for address, port in ways(family):
            if protocol is Protocol.TCP:
                assert_refused_in_a_row(client, address, port)
            assert not isinstance(ask(client, builders.address(address), port, protocol, seconds=0.5), Reply)
        assert [each.ask() for each in held] == before
    node.put(slice_of(lab, ["x/web-1"]))
    node.until(lambda: is_served(lab), "it is served again")
    for address, port in ways(family):
        assert answering(client, builders.address(address), port, protocol, times=2) == {"x/web-1": 2}


@FAMILIES
def test_who_may_not_ask_is_dropped_and_who_may_is_refused(lab: ServiceLab, node: ServiceNode, family: Family) -> None:
    vip = builders.address(BALANCER[family])
    assert ask(lab.endpoint("outside/near", family), vip, 80, seconds=0.5) is Outcome.SILENT
    assert_refused_in_a_row(lab.endpoint("x/client", family), str(vip), 80)


@FAMILIES
def test_a_service_that_is_local_refuses_where_its_endpoints_are_not(
    lab: ServiceLab, node: ServiceNode, family: Family
) -> None:
    far = endpoint_slice(
        "x/web-1", "web", endpoint(str(lab.endpoint("x/far", family).address), "two"), ports="t=80/TCP"
    )
    node.put(replace(WEB, internal_policy=TrafficPolicy.LOCAL, external_policy=TrafficPolicy.LOCAL), far)
    node.until(lambda: is_refused(lab), "it is refused")
    for address, port in ways(family):
        assert_refused_in_a_row(lab.endpoint("outside/near", family), address, port)


def test_nobody_is_refused_while_the_only_endpoint_rolls(lab: ServiceLab, node: ServiceNode) -> None:
    first, second = slice_of(lab, ["x/web-0"]), slice_of(lab, ["x/web-1"])
    leaving = slice_of(lab, ["x/web-0"], draining), slice_of(lab, ["x/web-1"], unready, "x/web-2")
    node.put(first)
    node.until(lambda: is_served(lab), "it is served")
    questions = [
        Question(lab.endpoint(client, family), builders.address(address), port)
        for client in CLIENTS
        for family in Family
        for address, port in ways(family)
    ]
    with SteadyClients(lab, questions) as clients:
        clients.go_on(1)
        node.put(*leaving)
        clients.go_on(1)
        node.drop(leaving[1])
        node.put(second)
        clients.go_on(2)
    assert clients.unanswered == []
    assert clients.answerers == {"x/web-0", "x/web-1"}


@FAMILIES
def test_what_would_be_answered_directly_is_refused_at_once_too(
    lab: ServiceLab, node: ServiceNode, family: Family
) -> None:
    lab.run("ip", "route", "replace", "default", "via", str(lab.endpoint("node/two").address))
    vip, client = builders.address(DIRECTLY[family]), lab.endpoint("outside/near", family)
    pod = lab.endpoint("x/web-0", family)
    ready = endpoint_slice("x/direct-1", "direct", endpoint(str(pod.address), "one"), ports=f"{PORT}/TCP")
    node.put(DIRECT, ready)
    member = f"{vip},tcp:{PORT}\n"
    node.until(lambda: str(vip) in lab.run("ip", "-br", "addr", on="x/web-0"), "the pod has the address")
    with Servers([Place(replace(pod, address=vip), Protocol.TCP, PORT)]):
        node.until(lambda: member not in refused(lab), "it is served")
        node.until(lambda: ask(client, vip, PORT, seconds=0.5) == Reply("x/web-0", str(client.address)), "answered")
        node.put(replace(ready, groups=()))
        node.until(lambda: member in refused(lab), "it is refused")
        assert_refused_in_a_row(client, str(vip), PORT)
    node.drop(DIRECT, ready)
    node.until(lambda: member not in refused(lab), "it is gone")
