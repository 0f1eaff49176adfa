from __future__ import annotations

import pytest
from builders import address, namespace, node, pod, world

from netpol.errors import UsageError
from netpol.model.networks import Family
from netpol.model.objects import Node
from netpol.policy.ends import Ends, family_between, pair_of_one_family, pairs_by_family
from netpol.policy.judgement import End, ExternalEnd, NodeEnd, PodEnd

DUAL = pod("x/dual", "10.0.0.1", "fd00::1", node="n1")
HOST = pod("x/host", "192.168.0.1", node="n1", host_network=True)
N1 = node("n1", "192.168.0.1", "fd00::ffff")
SNAPSHOT = world(
    namespace("x"),
    DUAL,
    HOST,
    N1,
    node("bare"),
    pod("x/job", "10.0.0.8", finished=True),
    pod("x/pending"),
    pod("x/host-done", "192.168.0.7", node="n7", host_network=True, finished=True),
    pod("x/host-alone", "192.168.0.9", "fd00::9", node="n9", host_network=True),
    pod("x/host-new", node="n1", host_network=True),
    pod("x/host-nowhere", host_network=True),
)
ENDS = Ends(SNAPSHOT)


def ends(*pairs: tuple[End, ...]) -> tuple[End, ...]:
    return tuple(end for pair in pairs for end in pair)


def test_a_pods_ends_are_its_addresses_in_order() -> None:
    assert ENDS.named("x/dual") == (PodEnd(DUAL, address("10.0.0.1")), PodEnd(DUAL, address("fd00::1")))


def test_a_nodes_ends_are_its_addresses_in_order() -> None:
    assert ENDS.named("node/n1") == (NodeEnd(N1, address("192.168.0.1")), NodeEnd(N1, address("fd00::ffff")))
    assert ENDS.named("node/bare") == (NodeEnd(node("bare"), None),)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("10.0.0.1", PodEnd(DUAL, address("10.0.0.1"))),
        ("FD00::1", PodEnd(DUAL, address("fd00::1"))),
        ("fd00::ffff", NodeEnd(N1, address("fd00::ffff"))),
        ("8.8.8.8", ExternalEnd(address("8.8.8.8"))),
        ("10.0.0.8", ExternalEnd(address("10.0.0.8"))),
        ("192.168.0.7", ExternalEnd(address("192.168.0.7"))),
    ],
)
def test_an_address_is_whoever_holds_it(text: str, end: End) -> None:
    assert ENDS.named(text) == (end,)
    assert ENDS.at(address(text)) == end


def test_v9_a_host_network_pod_is_its_node_at_its_own_address() -> None:
    assert ENDS.named("x/host") == (NodeEnd(N1, address("192.168.0.1")),)
    assert ENDS.named("x/host-new") == ENDS.named("node/n1")


def test_v9_a_node_without_an_object_has_the_addresses_of_its_host_network_pods() -> None:
    n9 = Node("n9", (address("192.168.0.9"), address("fd00::9")))
    assert ENDS.named("node/n9") == (NodeEnd(n9, n9.addresses[0]), NodeEnd(n9, n9.addresses[1]))
    assert ENDS.at(address("fd00::9")) == NodeEnd(n9, address("fd00::9"))
    assert ENDS.named("node/n7") == (NodeEnd(Node("n7"), None),)


def test_v9_a_node_keeps_its_pod_ranges_beside_host_network_addresses() -> None:
    ranged = node("n1", "192.168.0.1", pod_cidrs=["10.0.0.0/24"])
    (end,) = Ends(world(ranged, pod("x/h", "192.168.0.2", node="n1", host_network=True))).named("192.168.0.2")
    assert isinstance(end, NodeEnd)
    assert end.node.pod_cidrs == ranged.pod_cidrs
    assert end.node.addresses == (address("192.168.0.1"), address("192.168.0.2"))


def test_x1_a_pod_goes_before_a_node_and_newer_before_older() -> None:
    shared = Ends(
        world(
            pod("x/old", "10.0.0.1", created="2024-01-01T00:00:00Z"),
            pod("a/new", "10.0.0.1", created="2024-01-02T00:00:00Z"),
            node("n1", "10.0.0.1", "10.0.0.2"),
            node("n2", "10.0.0.2"),
        )
    )
    assert str(shared.at(address("10.0.0.1"))) == "a/new"
    assert str(shared.holder_of(address("10.0.0.1"))) == "a/new"
    assert shared.holder_of(address("10.0.0.2")) is None
    assert str(shared.at(address("10.0.0.2"))) == "node/n1", "the first by name, on every machine"


def test_a_pod_of_a_namespace_called_node_is_found_where_no_node_has_its_name() -> None:
    inn = Ends(world(pod("node/inn", "10.0.0.1"), pod("node/n1", "10.0.0.2"), node("n1", "192.168.0.1")))
    assert str(inn.named("node/inn")[0]) == "node/inn"
    assert isinstance(inn.named("node/inn")[0], PodEnd)
    assert isinstance(inn.named("node/n1")[0], NodeEnd)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x/daul", "no pod is named x/daul; did you mean x/dual?"),
        ("zzzz/qqqq", "no pod is named zzzz/qqqq"),
        ("node/n11", "no node is named n11; did you mean node/n1 or node/n9 or node/n7?"),
        ("10.0.0.0/24", "10.0.0.0/24 is a network, which is no end of a connection; an address is"),
        ("10.0.0.1/24", "10.0.0.1/24 is a network, which is no end of a connection; an address is"),
        ("fd00::/64", "fd00::/64 is a network, which is no end of a connection; an address is"),
        ("10.0.0.0/33", "no pod is named 10.0.0.0/33"),
        ("dual", "'dual' is no namespace/pod, no node/NAME and no address; did you mean x/dual?"),
        ("n1", "'n1' is no namespace/pod, no node/NAME and no address; did you mean node/n1?"),
        ("10.0.0", "'10.0.0' is no namespace/pod, no node/NAME and no address"),
        ("", "'' is no namespace/pod, no node/NAME and no address"),
        ("x/job", "x/job is no actionable pod: it has finished, and its address may be another pod's"),
        ("x/host-done", "x/host-done is no actionable pod: it has finished, and its address may be another pod's"),
        ("x/pending", "x/pending is no actionable pod: it has no address yet"),
        ("x/host-nowhere", "x/host-nowhere uses its node's network, and it is not known on which node it runs"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_with_what_may_be_meant(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        ENDS.named(text)
    assert str(refusal.value) == message


FOUR, OTHER_FOUR = ExternalEnd(address("1.1.1.1")), ExternalEnd(address("2.2.2.2"))
SIX, OTHER_SIX = ExternalEnd(address("fd00::1")), ExternalEnd(address("fd00::2"))
ANYWHERE = NodeEnd(Node("n"), None)


@pytest.mark.parametrize(
    ("sources", "destinations", "pair"),
    [
        ((FOUR, SIX), (OTHER_FOUR, OTHER_SIX), (FOUR, OTHER_FOUR)),
        ((FOUR, SIX), (OTHER_SIX, OTHER_FOUR), (SIX, OTHER_SIX)),
        ((SIX, FOUR), (OTHER_FOUR, OTHER_SIX), (FOUR, OTHER_FOUR)),
        ((SIX,), (OTHER_FOUR, OTHER_SIX), (SIX, OTHER_SIX)),
        ((FOUR,), (OTHER_SIX, OTHER_FOUR), (FOUR, OTHER_FOUR)),
        ((FOUR,), (OTHER_SIX,), None),
        ((ANYWHERE,), (OTHER_SIX,), (ANYWHERE, OTHER_SIX)),
        ((FOUR,), (ANYWHERE,), (FOUR, ANYWHERE)),
    ],
)
def test_the_destinations_first_address_that_the_source_has_a_family_for_is_used(
    sources: tuple[End, ...], destinations: tuple[End, ...], pair: tuple[End, End] | None
) -> None:
    assert pair_of_one_family(sources, destinations) == pair


@pytest.mark.parametrize(
    ("sources", "destinations", "pairs"),
    [
        ((FOUR, SIX), (OTHER_SIX, OTHER_FOUR), ((SIX, OTHER_SIX), (FOUR, OTHER_FOUR))),
        ((FOUR, SIX), (OTHER_FOUR, FOUR, OTHER_SIX), ((FOUR, OTHER_FOUR), (SIX, OTHER_SIX))),
        ((FOUR, SIX), (OTHER_SIX,), ((SIX, OTHER_SIX),)),
        ((FOUR,), (OTHER_SIX,), ()),
        ((ANYWHERE,), (OTHER_SIX, OTHER_FOUR), ((ANYWHERE, OTHER_SIX), (ANYWHERE, OTHER_FOUR))),
        ((FOUR, SIX), (ANYWHERE,), ((FOUR, ANYWHERE), (SIX, ANYWHERE))),
        ((ANYWHERE,), (ANYWHERE,), ((ANYWHERE, ANYWHERE),)),
    ],
)
def test_each_family_that_both_have_has_a_pair(
    sources: tuple[End, ...], destinations: tuple[End, ...], pairs: tuple[tuple[End, End], ...]
) -> None:
    assert pairs_by_family(sources, destinations) == pairs


def test_the_family_between_two_ends_is_that_of_an_address_that_is_known() -> None:
    assert family_between(FOUR, OTHER_FOUR) is Family.IPV4
    assert family_between(ANYWHERE, SIX) is Family.IPV6
    assert family_between(ANYWHERE, ANYWHERE) is None
