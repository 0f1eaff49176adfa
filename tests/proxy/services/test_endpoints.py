"""Which endpoints serve: KEP-1669's states, hints, ports by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from proxy_builders import destination, draining, endpoint, group, service_port, unready

from netpol.model.networks import Family
from netpol.model.services import EndpointGroup, TrafficPolicy
from proxy.services.endpoints import ChosenEndpoints, NodeTopology, choose, ready_on_node

HERE = NodeTopology("n1", "east")
HTTP = service_port("80/TCP")
CLUSTER, LOCAL = TrafficPolicy.CLUSTER, TrafficPolicy.LOCAL


def chosen(
    *groups: EndpointGroup, policy: TrafficPolicy = CLUSTER, topology: NodeTopology = HERE, family: Family = Family.IPV4
) -> list[str]:
    """The addresses chosen, with a star where they are this node's."""
    choice = choose(groups, HTTP, family, policy, topology)
    assert choice.local <= choice.destinations
    return sorted(f"{each.address}{'*' * (each in choice.local)}" for each in choice.destinations)


# --- states


def test_ready_endpoints_of_all_nodes_serve_and_those_of_this_node_are_told() -> None:
    ours, theirs = endpoint("10.0.0.1", "n1"), endpoint("10.0.0.2", "n2")
    assert choose([group(ours, theirs, ports="8080/TCP")], HTTP, Family.IPV4, CLUSTER, HERE) == ChosenEndpoints(
        frozenset({destination("10.0.0.1:8080"), destination("10.0.0.2:8080")}),
        frozenset({destination("10.0.0.1:8080")}),
    )


def test_locally_only_this_nodes_serve() -> None:
    assert chosen(group(endpoint("10.0.0.1", "n1"), endpoint("10.0.0.2", "n2")), policy=LOCAL) == ["10.0.0.1*"]
    assert chosen(group(endpoint("10.0.0.2", "n2")), policy=LOCAL) == []


def test_what_drains_serves_where_nothing_is_ready() -> None:
    last = group(draining("10.0.0.1", "n1"), draining("10.0.0.2", "n2"), unready("10.0.0.3", "n1"))
    assert chosen(last) == ["10.0.0.1*", "10.0.0.2"]
    assert chosen(last, group(endpoint("10.0.0.4", "n2"))) == ["10.0.0.4"]


def test_locally_what_drains_here_serves_although_others_are_ready_elsewhere() -> None:
    groups = group(draining("10.0.0.1", "n1"), endpoint("10.0.0.2", "n2"))
    assert chosen(groups, policy=LOCAL) == ["10.0.0.1*"]
    assert chosen(groups) == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("ready", "serving", "terminating", "serves"),
    [
        (True, True, False, True),
        (True, True, True, True),
        (True, False, False, True),
        (False, True, True, True),
        (False, True, False, False),
        (False, False, True, False),
        (False, False, False, False),
    ],
)
@pytest.mark.parametrize("policy", TrafficPolicy)
def test_an_endpoint_that_is_alone_serves_by_its_state(
    policy: TrafficPolicy, ready: bool, serving: bool, terminating: bool, serves: bool
) -> None:
    alone = replace(endpoint("10.0.0.1", "n1"), ready=ready, serving=serving, terminating=terminating)
    assert chosen(group(alone), policy=policy) == ["10.0.0.1*"] * serves


def test_ready_goes_before_terminating() -> None:
    """A service that publishes what is not ready has what terminates called ready too."""
    published = replace(draining("10.0.0.1"), ready=True)
    assert chosen(group(published, draining("10.0.0.2"))) == ["10.0.0.1"]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_states_of_one_endpoint_the_best_counts(turn: int) -> None:
    states = [group(unready("10.0.0.1", "n1")), group(draining("10.0.0.1", "n2")), group(endpoint("10.0.0.1", "n1"))]
    assert chosen(*states[::turn], group(draining("10.0.0.9"))) == ["10.0.0.1*"]
    assert chosen(*states[:2][::turn], group(endpoint("10.0.0.9"))) == ["10.0.0.9"]
    assert chosen(*states[:2][::turn]) == ["10.0.0.1"]


@pytest.mark.parametrize("turn", [1, -1])
def test_an_endpoint_is_here_where_one_of_equal_states_says_so(turn: int) -> None:
    states = [group(endpoint("10.0.0.1", "n1")), group(endpoint("10.0.0.1", "n2"))]
    assert chosen(*states[::turn], policy=LOCAL) == ["10.0.0.1*"]


def test_an_endpoint_of_no_node_is_not_here() -> None:
    assert chosen(group(endpoint("10.0.0.1")), topology=NodeTopology("")) == ["10.0.0.1"]
    assert chosen(group(endpoint("10.0.0.1")), topology=NodeTopology(""), policy=LOCAL) == []


# --- hints


def hinted(*hints: str) -> EndpointGroup:
    """Ready endpoints 10.0.0.1 and so on, each with the hints of `"zones;nodes"`."""
    parts = (each.partition(";") for each in hints)
    return group(
        *(
            endpoint(f"10.0.0.{index}", "n2", zones=zones, nodes=nodes)
            for index, (zones, _, nodes) in enumerate(parts, 1)
        )
    )


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (["east", "west"], [1]),
        (["east west", "west", "east"], [1, 3]),
        (["east", "west", ""], [1, 2, 3]),
        (["west", "west"], [1, 2]),
        (["east;n1", "east;n2", "west;n2"], [1]),
        (["east;n1 n2", "west;n1", "west;n2"], [1, 2]),
        (["east;n2", "west;n2"], [1]),
        (["west;n2", "west;n3"], [1, 2]),
        (["east;n1", "west", "east"], [1, 3]),
        ([";n1", ";n2"], [1]),
        ([";n2", ";n3"], [1, 2]),
        ([";n1", ""], [1, 2]),
    ],
)
def test_hints_narrow_the_choice_where_every_endpoint_has_one_and_one_fits(
    hints: list[str], expected: list[int]
) -> None:
    assert chosen(hinted(*hints)) == [f"10.0.0.{number}" for number in expected]


def test_without_a_zone_of_its_own_a_node_follows_no_zone_hints() -> None:
    assert chosen(hinted("east", "west"), topology=NodeTopology("n1")) == ["10.0.0.1", "10.0.0.2"]
    assert chosen(hinted("east;n2", "west;n1"), topology=NodeTopology("n1")) == ["10.0.0.2"]
    nameless = replace(endpoint("10.0.0.1"), zone_hints=frozenset({""}))
    assert chosen(group(nameless, endpoint("10.0.0.2", zones="west")), topology=NodeTopology("n1")) == [
        "10.0.0.1",
        "10.0.0.2",
    ]


def test_hints_of_what_is_not_ready_count_for_nothing() -> None:
    ready = endpoint("10.0.0.1", zones="west"), endpoint("10.0.0.2", zones="east")
    assert chosen(group(*ready, draining("10.0.0.3"), unready("10.0.0.4"))) == ["10.0.0.2"]
    assert chosen(group(draining("10.0.0.1", zones="west"), draining("10.0.0.2", zones="east"))) == [
        "10.0.0.1",
        "10.0.0.2",
    ]


def test_hints_are_not_asked_locally() -> None:
    ours = endpoint("10.0.0.1", "n1", zones="west"), endpoint("10.0.0.2", "n1", zones="east")
    assert chosen(group(*ours), policy=LOCAL) == ["10.0.0.1*", "10.0.0.2*"]


@pytest.mark.parametrize("turn", [1, -1])
def test_hints_of_one_endpoint_add_up_and_one_without_is_for_everybody(turn: int) -> None:
    states = [group(endpoint("10.0.0.1", zones="east")), group(endpoint("10.0.0.1", zones="west"))]
    assert chosen(*states[::turn], group(endpoint("10.0.0.2", zones="west"))) == ["10.0.0.1"]
    states = [group(endpoint("10.0.0.1", zones="west")), group(endpoint("10.0.0.1"))]
    assert chosen(*states[::turn], group(endpoint("10.0.0.2", zones="east"))) == ["10.0.0.1", "10.0.0.2"]


# --- ports and addresses


def destinations(text: str, *groups: EndpointGroup) -> Iterable[str]:
    return sorted(map(str, choose(groups, service_port(text), Family.IPV4, CLUSTER, HERE).destinations))


def test_ports_are_found_by_name_and_protocol() -> None:
    ports = "web=8080/TCP dns=53/UDP dns=5353/TCP"
    assert destinations("web=80/TCP", group(endpoint("10.0.0.1"), ports=ports)) == ["10.0.0.1:8080"]
    assert destinations("dns=53/TCP", group(endpoint("10.0.0.1"), ports=ports)) == ["10.0.0.1:5353"]
    assert destinations("80/TCP", group(endpoint("10.0.0.1"), ports=ports)) == []
    assert destinations("web=80/SCTP", group(endpoint("10.0.0.1"), ports=ports)) == []


def test_a_port_has_the_number_of_each_group() -> None:
    groups = group(endpoint("10.0.0.1"), ports="web=80/TCP"), group(endpoint("10.0.0.2"), ports="web=8080/TCP")
    assert destinations("web=80/TCP", *groups) == ["10.0.0.1:80", "10.0.0.2:8080"]


def test_an_endpoint_on_two_ports_is_two() -> None:
    """Ready on one, unready on the other: an Endpoints object says so by its subsets."""
    groups = group(endpoint("10.0.0.1"), ports="web=80/TCP"), group(draining("10.0.0.1"), ports="web=81/TCP")
    assert destinations("web=80/TCP", *groups) == ["10.0.0.1:80"]


def test_only_addresses_of_the_family_are_considered() -> None:
    both = group(draining("10.0.0.1", "n1"), endpoint("fd00::1", "n2"))
    assert chosen(both) == ["10.0.0.1*"]
    assert chosen(both, family=Family.IPV6) == ["fd00::1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255"])
def test_an_address_that_no_host_has_is_passed_over(address: str) -> None:
    assert chosen(group(endpoint(address, "n1"))) == []
    assert ready_on_node([group(endpoint(address, "n1"))], [Family.IPV4], HERE) == 0


def test_a_hint_is_not_missing_on_an_address_that_is_passed_over() -> None:
    assert chosen(hinted("east", "west"), group(endpoint("127.0.0.1"))) == ["10.0.0.1"]


# --- the health check


def test_ready_endpoints_of_this_node_are_counted_once() -> None:
    groups = [
        group(endpoint("10.0.0.1", "n1"), endpoint("10.0.0.2", "n1"), ports="80/TCP 81/TCP"),
        group(endpoint("10.0.0.1", "n1"), unready("10.0.0.2", "n1"), ports="82/TCP"),
        group(draining("10.0.0.3", "n1"), endpoint("10.0.0.4", "n2"), endpoint("10.0.0.5")),
    ]
    assert ready_on_node(groups, [Family.IPV4], HERE) == 2


def test_an_endpoint_of_both_families_is_one() -> None:
    groups = [group(endpoint("10.0.0.1", "n1")), group(endpoint("fd00::1", "n1"), endpoint("fd00::2", "n1"))]
    assert ready_on_node(groups, tuple(Family), HERE) == 2
    assert ready_on_node(groups, [Family.IPV4], HERE) == 1
    assert ready_on_node(groups, [], HERE) == 0


def test_endpoints_without_ports_serve_nothing() -> None:
    assert ready_on_node([group(endpoint("10.0.0.1", "n1"), ports="")], [Family.IPV4], HERE) == 0
