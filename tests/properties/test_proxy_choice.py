"""Which endpoints serve, against the rules said simply, whatever order they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from proxy_builders import addresses, service_port

from netpol.model.networks import Family, family_of
from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, TrafficPolicy
from proxy.model import Destination
from proxy.services.endpoints import ChosenEndpoints, NodeTopology, choose, ready_on_node

HERE = NodeTopology("n1", "east")
PORT = service_port("http=80/TCP")
CLUSTER, LOCAL = TrafficPolicy.CLUSTER, TrafficPolicy.LOCAL


def _hints(*names: str) -> st.SearchStrategy[frozenset[str]]:
    """Mostly some, for a single endpoint without hints ends them all."""
    return st.one_of(*[st.frozensets(st.sampled_from(names), min_size=1)] * 4, st.just(frozenset()))


@st.composite
def _endpoints(draw: st.DrawFn) -> Endpoint:
    """An endpoint in any state; half of them are ready."""
    ready, serving, terminating = draw(st.sampled_from([(True, True, False)] * 8 + [*_STATES]))
    return Endpoint(
        draw(st.sampled_from(addresses("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 fd00::1 fd00::2 127.0.0.1"))),
        draw(st.sampled_from(("n1", "n2", ""))),
        ready,
        serving,
        terminating,
        draw(_hints("east", "west")),
        draw(_hints("n1", "n2")),
    )


_STATES = [(one, two, three) for one in (True, False) for two in (True, False) for three in (True, False)]
_PORTS = [
    (EndpointPort(Protocol.TCP, 8080, "http"),),
    (EndpointPort(Protocol.TCP, 8081, "http"), EndpointPort(Protocol.UDP, 53, "http")),
    (EndpointPort(Protocol.TCP, 8080, "http"), EndpointPort(Protocol.TCP, 9090, "other")),
    (EndpointPort(Protocol.TCP, 9090, "other"),),
]
_GROUPS = st.builds(EndpointGroup, st.lists(_endpoints(), min_size=1, max_size=5).map(tuple), st.sampled_from(_PORTS))
GROUPS = st.lists(_GROUPS, max_size=4)


def chosen(groups: Iterable[EndpointGroup], policy: TrafficPolicy, family: Family = Family.IPV4) -> ChosenEndpoints:
    return choose(groups, PORT, family, policy, HERE)


def states(groups: Iterable[EndpointGroup], family: Family) -> Iterator[tuple[Destination, Endpoint]]:
    """All that is said of each endpoint that can serve the port at all."""
    for group in groups:
        for port in group.ports:
            if (port.name, port.protocol) == ("http", Protocol.TCP):
                for each in group.endpoints:
                    if family_of(each.address) is family and not each.address.is_loopback:
                        yield Destination(each.address, port.number), each


@given(GROUPS)
def test_what_is_chosen_depends_on_no_order(groups: list[EndpointGroup]) -> None:
    turned = [replace(group, endpoints=group.endpoints[::-1], ports=group.ports[::-1]) for group in groups[::-1]]
    for policy in TrafficPolicy:
        assert chosen(turned, policy) == chosen(groups, policy)


@given(GROUPS, st.sampled_from(Family))
def test_ready_ones_serve_where_there_are_any_and_draining_ones_where_not(
    groups: list[EndpointGroup], family: Family
) -> None:
    for policy in TrafficPolicy:
        said = list(states(groups, family))
        ready = {each for each, state in said if state.ready}
        draining = {each for each, state in said if state.serving and state.terminating} - ready
        here = {
            each
            for each, state in said
            if state.node == "n1" and (state.ready if each in ready else state.serving and state.terminating)
        }
        if policy is LOCAL:
            ready, draining = ready & here, draining & here
        choice = chosen(groups, policy, family)
        assert choice.local == choice.destinations & here
        if policy is LOCAL or not ready:
            assert choice.destinations == (ready or draining)
        else:
            assert choice.destinations
            assert choice.destinations <= ready


@given(GROUPS)
def test_hints_narrow_the_choice_as_kube_proxy_has_it(groups: list[EndpointGroup]) -> None:
    """Of endpoints that stand in one place only: of others it takes the hints of any."""
    said = list(states(groups, Family.IPV4))
    ready = {each: state for each, state in said if state.ready}
    assume(len(ready) == sum(state.ready for _, state in said) > 0)
    expected = set(ready)
    by_zone = {each for each, state in ready.items() if "east" in state.zone_hints}
    by_node = {each for each, state in ready.items() if "n1" in state.node_hints}
    if by_zone and all(state.zone_hints for state in ready.values()):
        expected = by_zone
    if by_node and all(state.node_hints for state in ready.values()):
        expected = by_node
    assert chosen(groups, CLUSTER).destinations == expected


@given(GROUPS)
def test_the_health_check_counts_what_local_traffic_would_go_to(groups: list[EndpointGroup]) -> None:
    """But for the port, and for what drains."""
    of_port = [replace(group, ports=group.ports[:1]) for group in groups if group.ports[0].name == "http"]
    here = {each.address for each, state in states(of_port, Family.IPV4) if state.ready and state.node == "n1"}
    assert ready_on_node(of_port, [Family.IPV4], HERE) == len(here)
    if here:
        # One may be ready elsewhere too, and on other ports: it is one address all the same.
        assert {each.address for each in chosen(of_port, LOCAL).destinations} >= here
