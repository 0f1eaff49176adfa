"""Peers as shared sets with their members."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from builders import address, block, namespace, pod, pods

from netpol.compiler.ruleset import AddressPort, Member, NetworkMember, SetType
from netpol.compiler.terms import Block, NamedDestination, Networks, Pods, Term, block_members, peer_terms, term_sets
from netpol.model.networks import Family, IPBlock, parse_network
from netpol.model.policies import Peer, PodPeer
from netpol.model.ports import NamedPort, Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Resolver

FOUR, SIX = Family.IPV4, Family.IPV6
HTTP = NamedPort(Protocol.TCP, "http")
RESOLVER = Resolver(
    Snapshot.of(
        [namespace("x"), namespace("y")],
        [
            pod("x/both", "10.0.0.1", "fd00::1", labels="app=web", ports="http=80/TCP http=81/TCP"),
            pod("x/four", "10.0.0.2", labels="app=db", ports="http=80/UDP"),
            pod("y/far", "10.1.0.1", labels="app=web", ports="http=8080/TCP"),
            pod("z/lost", "10.2.0.1", labels="app=web", ports="http=8080/TCP"),
        ],
    )
)


def network(text: str, *, nomatch: bool = False) -> NetworkMember:
    parsed = parse_network(text)
    return NetworkMember(parsed.network_address.packed, parsed.prefixlen, nomatch)


def listen(host: str, port: int) -> AddressPort:
    return AddressPort(address(host).packed, Protocol.TCP, port)


def packed(*hosts: str) -> set[bytes]:
    return {address(host).packed for host in hosts}


def members(term: Term) -> dict[Family, Iterable[Member]]:
    """The members of the term's sets by family; the families without a set are not there."""
    return {each.family: each.members for each in term_sets(term, Family, RESOLVER) if each.family is not None}


def test_pods_are_their_addresses_of_each_family() -> None:
    assert members(Pods(pods("app=web", namespaces=""))) == {
        FOUR: packed("10.0.0.1", "10.1.0.1"),
        SIX: packed("fd00::1"),
    }


def test_pods_that_have_no_address_of_a_family_leave_its_set_empty() -> None:
    """G4: a family without a member is denied, which takes a set to match."""
    assert members(Pods(pods("app=db", namespace="x"))) == {FOUR: packed("10.0.0.2"), SIX: frozenset()}


def test_networks_have_a_set_of_their_own_family_alone() -> None:
    term = Networks(frozenset({parse_network("10.0.0.0/8"), parse_network("192.0.2.1/32")}))
    assert members(term) == {FOUR: {network("10.0.0.0/8"), network("192.0.2.1/32")}}
    assert members(Networks(frozenset({parse_network("::/0")}))) == {SIX: {network("::/1"), network("8000::/1")}}


def test_a_block_has_a_set_of_its_own_family_alone() -> None:
    holed = Block(block("10.0.0.0/8", "10.9.0.0/16"))
    assert members(holed) == {FOUR: {network("10.0.0.0/8"), network("10.9.0.0/16", nomatch=True)}}


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (block("0.0.0.0/0", "10.0.0.0/8"), ["0.0.0.0/1", "128.0.0.0/1", "!10.0.0.0/8"]),
        (block("0.0.0.0/0", "0.0.0.0/1"), ["128.0.0.0/1"]),
        (block("0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "128.0.0.0/8"), ["128.0.0.0/1", "!128.0.0.0/8"]),
        (block("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"), []),
        (block("::/0", "fd00::/8"), ["::/1", "8000::/1", "!fd00::/8"]),
        (block("10.0.0.0/8", "10.9.0.0/16", "10.9.8.0/24"), ["10.0.0.0/8", "!10.9.0.0/16", "!10.9.8.0/24"]),
    ],
)
def test_holes_are_members_that_do_not_match(tested: IPBlock, expected: list[str]) -> None:
    """V5; hash:net refuses /0."""
    wanted = {network(text.removeprefix("!"), nomatch=text.startswith("!")) for text in expected}
    assert block_members(tested) == wanted


@pytest.mark.parametrize(
    ("peer", "four", "six"),
    [
        (None, {("10.0.0.1", 80), ("10.0.0.1", 81), ("10.1.0.1", 8080), ("10.2.0.1", 8080)}, True),
        (pods("app=web", namespace="x"), {("10.0.0.1", 80), ("10.0.0.1", 81)}, True),
        (pods("app=web", namespaces=""), {("10.0.0.1", 80), ("10.0.0.1", 81), ("10.1.0.1", 8080)}, True),
        (block("10.0.0.0/8", "10.2.0.0/16", "10.0.0.0/24"), {("10.1.0.1", 8080)}, False),
        (block("fd00::/64"), set(), True),
        (block("fd01::/64"), set(), False),
    ],
)
def test_a_named_destination_is_each_pods_address_with_its_own_numbers(
    peer: Peer | None, four: set[tuple[str, int]], six: bool
) -> None:
    """V7: by name and protocol, and by no address that is no pod's."""
    found = members(NamedDestination(peer, HTTP))
    assert found[FOUR] == {listen(*each) for each in four}
    assert found[SIX] == ({listen("fd00::1", 80), listen("fd00::1", 81)} if six else set())


def test_blocks_without_holes_share_a_set_and_the_others_stand_alone() -> None:
    """A hole is its block's own: what another block allows must not fall into it (V5)."""
    chosen: PodPeer = pods("app=web", namespace="x")
    one, two, three = block("10.0.0.0/8"), block("192.0.2.0/24"), block("fd00::/8")
    holed = block("10.0.0.0/8", "10.9.0.0/16")
    assert list(peer_terms([one, chosen, holed, three, two])) == [
        Pods(chosen),
        Block(holed),
        Networks(frozenset({one.network, two.network})),
        Networks(frozenset({three.network})),
    ]
    assert list(peer_terms([])) == []


def test_a_set_is_named_by_what_it_means() -> None:
    def name(term: Term) -> str:
        return next(iter(term_sets(term, [FOUR], RESOLVER))).name

    whole = Networks(frozenset({parse_network("10.0.0.0/8"), parse_network("11.0.0.0/8")}))
    assert name(whole) == name(Networks(frozenset({parse_network("11.0.0.0/8"), parse_network("10.0.0.0/8")})))
    terms: list[Term] = [
        *(whole, Networks(frozenset({parse_network("10.0.0.0/8")})), Block(block("10.0.0.0/8", "10.9.0.0/16"))),
        *(Pods(pods("", namespace="x")), Pods(pods("", namespaces="")), Pods(pods("app=web", namespace="x"))),
        *(NamedDestination(None, HTTP), NamedDestination(pods("", namespace="x"), HTTP)),
        NamedDestination(None, NamedPort(Protocol.UDP, "http")),
    ]
    assert len({name(term) for term in terms}) == len(terms)


def test_a_set_tells_a_person_what_it_means() -> None:
    found = {each.type: each.meaning for term in MEANT for each in term_sets(term, [FOUR], RESOLVER)}
    assert found == {
        SetType.ADDRESSES: "pods [app=web] of namespace x",
        SetType.NETWORKS: "10.0.0.0/8, 9.0.0.0/8",
        SetType.ADDRESS_PORTS: "port http/TCP of any pod",
    }


MEANT: list[Term] = [
    Pods(pods("app=web", namespace="x")),
    Networks(frozenset({parse_network("9.0.0.0/8"), parse_network("10.0.0.0/8")})),
    NamedDestination(None, HTTP),
]
