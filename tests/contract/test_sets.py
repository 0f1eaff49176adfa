"""What every writer of sets does and refuses: the kernel's, and the one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from netpol.compiler.ruleset import (
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    IpSet,
    Member,
    NetworkMember,
    SetReference,
    SetType,
)
from netpol.dataplane import ipset
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.kernel import Sets, SetSummary
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol

MAX_MEMBERS = 64


@pytest.fixture(params=["memory", pytest.param("netlink", marks=pytest.mark.kernel)])
def sets(request: pytest.FixtureRequest) -> Iterator[Sets]:
    if request.param == "memory":
        yield MemoryKernel(MAX_MEMBERS).sets
        return
    request.getfixturevalue("private_network")
    request.getfixturevalue("monkeypatch").setattr(ipset, "_RELEASE_SECONDS", 0.1)
    with NetlinkSets(MAX_MEMBERS) as netlink:
        yield netlink


def named(kind: str, letter: str = "A") -> str:
    return f"NETPOL-{kind}-{letter * 16}"


V4, V6 = Family.IPV4, Family.IPV6
ADDRESSES_4 = IpSet(named("S4"), SetType.ADDRESSES, V4)
ADDRESSES_6 = IpSet(named("S6"), SetType.ADDRESSES, V6)
NETWORKS_4 = IpSet(named("N4"), SetType.NETWORKS, V4)
NETWORKS_6 = IpSet(named("N6"), SetType.NETWORKS, V6)
PORTS_4 = IpSet(named("P4"), SetType.ADDRESS_PORTS, V4)
PORTS_6 = IpSet(named("P6"), SetType.ADDRESS_PORTS, V6)
ANSWERS_4 = IpSet(named("A4"), SetType.ADDRESS_PORT_ADDRESSES, V4, timeout_seconds=300)
ANSWERS_6 = IpSet(named("A6"), SetType.ADDRESS_PORT_ADDRESSES, V6)
SOURCES_4 = IpSet(named("R4"), SetType.ADDRESS_PORT_NETWORKS, V4)
SOURCES_6 = IpSet(named("R6"), SetType.ADDRESS_PORT_NETWORKS, V6)
COMMENTED_4 = IpSet(named("C4"), SetType.ADDRESS_PORTS, V4, has_comments=True)
COMMENTED_6 = IpSet(named("C6"), SetType.ADDRESS_PORTS, V6, has_comments=True)
LIST = IpSet(named("L"), SetType.SETS, None)

ONE, TWO = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
SIX = b"\xfd" + bytes(14) + b"\1"

FILLED = [
    (ADDRESSES_4, {ONE, TWO, bytes(3) + b"\1", b"\xff" * 4}),
    (ADDRESSES_6, {SIX, bytes(15) + b"\1"}),
    (NETWORKS_4, {NetworkMember(bytes([10, 0, 0, 0]), 8), NetworkMember(ONE, 32, nomatch=True)}),
    (NETWORKS_4, {NetworkMember(bytes(4), 1), NetworkMember(bytes([128, 0, 0, 0]), 1)}),
    (
        NETWORKS_6,
        {NetworkMember(bytes(16), 1), NetworkMember(SIX, 128), NetworkMember(b"\xfd" + bytes(15), 64, nomatch=True)},
    ),
    (
        PORTS_4,
        {
            AddressPort(ONE, protocol, port)
            for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
            for port in (1, 80, 65535)
        },
    ),
    (PORTS_6, {AddressPort(SIX, Protocol.TCP, 443)}),
    (
        ANSWERS_4,
        {
            AddressPortAddress(ONE, protocol, port, peer)
            for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
            for port in (0, 53, 65535)
            for peer in (ONE, TWO)
        },
    ),
    (ANSWERS_6, {AddressPortAddress(SIX, Protocol.UDP, 53, bytes(15) + b"\1")}),
    (
        SOURCES_4,
        {
            AddressPortNetwork(ONE, protocol, port, network, prefix)
            for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
            for port in (1, 65535)
            for network, prefix in ((TWO, 32), (bytes([10, 0, 0, 0]), 8), (bytes(4), 1), (b"\x80" + bytes(3), 1))
        },
    ),
    (
        SOURCES_6,
        {
            AddressPortNetwork(SIX, Protocol.TCP, 80, network, prefix)
            for network, prefix in ((SIX, 128), (bytes(16), 1))
        },
    ),
    (
        COMMENTED_4,
        {
            AddressPort(ONE, Protocol.TCP, 80, "shop/web:http cluster"),
            AddressPort(ONE, Protocol.UDP, 80, "größer"),
            AddressPort(TWO, Protocol.TCP, 80),
        },
    ),
    (COMMENTED_6, {AddressPort(SIX, Protocol.SCTP, 443, "c" * 255)}),
]


@pytest.mark.parametrize(("target", "members"), FILLED)
def test_members_read_back_and_are_removed(sets: Sets, target: IpSet, members: set[Member]) -> None:
    sets.create([target])
    assert sets.read() == {target.name: target}
    sets.add(target, members)
    assert sets.read() == {target.name: replace(target, members=frozenset(members))}
    gone = next(iter(members))
    sets.remove(target, [gone])
    assert sets.read()[target.name].members == frozenset(members) - {gone}


def test_members_to_come_are_not_created_with_the_set(sets: Sets) -> None:
    sets.create([replace(ADDRESSES_4, members=frozenset({ONE}))])
    assert sets.read()[ADDRESSES_4.name].members == frozenset()


def test_adding_again_and_removing_the_absent_are_no_errors(sets: Sets) -> None:
    sets.create([ADDRESSES_4])
    sets.add(ADDRESSES_4, [ONE])
    sets.add(ADDRESSES_4, [ONE, TWO])
    sets.remove(ADDRESSES_4, [ONE, ONE, bytes(3) + b"\7"])
    assert sets.read()[ADDRESSES_4.name].members == {TWO}


def test_no_members_are_no_error(sets: Sets) -> None:
    sets.create([ADDRESSES_4])
    sets.add(ADDRESSES_4, [])
    sets.remove(ADDRESSES_4, [])
    assert sets.read()[ADDRESSES_4.name].members == frozenset()


def test_adding_again_changes_the_flag_and_the_comment(sets: Sets) -> None:
    sets.create([NETWORKS_4, ADDRESSES_4, LIST])
    plain, carved = NetworkMember(ONE, 32), NetworkMember(ONE, 32, nomatch=True)
    for member in (plain, carved, plain, carved):
        sets.add(NETWORKS_4, [member])
        assert sets.read()[NETWORKS_4.name].members == {member}
    for comment in ("why", "", "another reason", "größer", "c" * 255):
        sets.add(LIST, [SetReference(ADDRESSES_4.name, comment)])
        assert sets.read()[LIST.name].members == {SetReference(ADDRESSES_4.name, comment)}
    sets.create([COMMENTED_4])
    for comment in ("why", "", "another reason"):
        sets.add(COMMENTED_4, [AddressPort(ONE, Protocol.TCP, 80, comment)])
        assert sets.read()[COMMENTED_4.name].members == {AddressPort(ONE, Protocol.TCP, 80, comment)}


def test_removing_looks_neither_at_the_flag_nor_at_the_comment(sets: Sets) -> None:
    sets.create([NETWORKS_4, ADDRESSES_4, LIST])
    sets.add(NETWORKS_4, [NetworkMember(ONE, 32, nomatch=True)])
    sets.remove(NETWORKS_4, [NetworkMember(ONE, 32)])
    sets.add(LIST, [SetReference(ADDRESSES_4.name, "why")])
    sets.remove(LIST, [SetReference(ADDRESSES_4.name)])
    sets.create([COMMENTED_4])
    sets.add(COMMENTED_4, [AddressPort(ONE, Protocol.TCP, 80, "why")])
    sets.remove(COMMENTED_4, [AddressPort(ONE, Protocol.TCP, 80, "another reason")])
    assert not sets.read()[COMMENTED_4.name].members
    assert not sets.read()[NETWORKS_4.name].members
    assert not sets.read()[LIST.name].members


@pytest.mark.parametrize("family", Family)
def test_a_network_loses_the_bits_beyond_its_prefix(sets: Sets, family: Family) -> None:
    target = NETWORKS_4 if family is V4 else NETWORKS_6
    whole = family.bits // 8
    sets.create([target])
    sets.add(target, [NetworkMember(b"\x0a" * whole, 12, nomatch=True)])
    assert sets.read()[target.name].members == {NetworkMember(b"\x0a\x00" + bytes(whole - 2), 12, nomatch=True)}


@pytest.mark.parametrize("target", [SOURCES_4, SOURCES_6])
def test_so_does_the_network_of_peers_and_only_that(sets: Sets, target: IpSet) -> None:
    packed, kept = (ONE, b"\x0a\x00\0\0") if target is SOURCES_4 else (SIX, b"\x0a\x00" + bytes(14))
    written = AddressPortNetwork(packed, Protocol.TCP, 80, b"\x0a" * len(packed), 12)
    sets.create([target])
    sets.add(target, [written])
    assert sets.read()[target.name].members == {written._replace(network=kept)}
    sets.remove(target, [written])
    assert not sets.read()[target.name].members


@pytest.mark.parametrize("kind", [kind for kind in SetType if kind is not SetType.SETS])
def test_any_set_but_a_list_is_made_with_comments_or_without(sets: Sets, kind: SetType) -> None:
    without, with_comments = IpSet(named("S4"), kind, V4), IpSet(named("C4"), kind, V4, has_comments=True)
    sets.create([without, with_comments])
    assert sets.read() == {each.name: each for each in (without, with_comments)}
    assert {name: each.has_comments for name, each in sets.survey().items()} == {named("S4"): False, named("C4"): True}


def test_a_list_holds_sets_of_both_families_in_numbers(sets: Sets) -> None:
    many = [IpSet(named("S4", chr(65 + index)), SetType.ADDRESSES, V4) for index in range(20)]
    sets.create([*many, ADDRESSES_6, NETWORKS_4, PORTS_6, LIST])
    members = {SetReference(each.name, f"peer {each.name}") for each in (*many, ADDRESSES_6, NETWORKS_4, PORTS_6)}
    sets.add(LIST, members)
    assert sets.read()[LIST.name] == replace(LIST, members=frozenset(members))


def test_a_timeout_is_a_sets_own(sets: Sets) -> None:
    ever, awhile, longer = (replace(ADDRESSES_4, name=named("S4", letter)) for letter in "XYZ")
    awhile, longer = replace(awhile, timeout_seconds=60), replace(longer, timeout_seconds=2_000_000)
    sets.create([ever, awhile, longer])
    for each in (ever, awhile, longer):
        sets.add(each, [ONE, TWO])
        sets.add(each, [TWO])
        assert sets.read()[each.name] == replace(each, members=frozenset({ONE, TWO}))


def test_a_set_that_does_not_exist_is_no_member_to_remove(sets: Sets) -> None:
    sets.create([ADDRESSES_4, ADDRESSES_6, LIST])
    sets.add(LIST, [SetReference(ADDRESSES_4.name), SetReference(ADDRESSES_6.name)])
    absent = [SetReference(named("S4", letter)) for letter in "XYZ"]
    sets.remove(LIST, [absent[0], SetReference(ADDRESSES_4.name), *absent[1:], SetReference(ADDRESSES_6.name)])
    assert not sets.read()[LIST.name].members


@pytest.mark.parametrize(
    ("target", "member", "says"),
    [
        (ADDRESSES_4, SIX, "family"),
        (ADDRESSES_6, ONE, "family"),
        (ADDRESSES_4, b"", "family"),
        (ADDRESSES_4, NetworkMember(ONE, 32), "holds no NetworkMember"),
        (NETWORKS_4, ONE, "holds no bytes"),
        (PORTS_4, ONE, "holds no bytes"),
        (LIST, ONE, "holds no bytes"),
        (NETWORKS_4, NetworkMember(bytes(4), 0), "prefixes of 1 to 32"),
        (NETWORKS_4, NetworkMember(ONE, 33), "prefixes of 1 to 32"),
        (NETWORKS_6, NetworkMember(bytes(16), 0), "prefixes of 1 to 128"),
        (NETWORKS_6, NetworkMember(ONE, 24), "family"),
        (PORTS_4, AddressPort(SIX, Protocol.TCP, 80), "family"),
        (PORTS_4, AddressPort(ONE, Protocol.TCP, 0), "no port"),
        (PORTS_4, AddressPort(ONE, Protocol.TCP, 65536), "no port"),
        (PORTS_4, AddressPort(ONE, Protocol.ICMP, 8), "no port"),
        (PORTS_4, AddressPort(ONE, Protocol.TCP, 80, "why"), "without comments"),
        (COMMENTED_4, AddressPort(ONE, Protocol.TCP, 80, "c" * 256), "comment has over 255 bytes"),
        (SOURCES_4, AddressPortNetwork(SIX, Protocol.TCP, 80, ONE, 8), "family"),
        (SOURCES_4, AddressPortNetwork(ONE, Protocol.TCP, 80, SIX, 8), "family"),
        (SOURCES_4, AddressPortNetwork(ONE, Protocol.TCP, 80, bytes(4), 0), "prefixes of 1 to 32"),
        (SOURCES_6, AddressPortNetwork(SIX, Protocol.TCP, 80, SIX, 129), "prefixes of 1 to 128"),
        (SOURCES_4, AddressPortNetwork(ONE, Protocol.TCP, 0, ONE, 8), "no port"),
        (SOURCES_4, AddressPortNetwork(ONE, Protocol.ICMP, 8, ONE, 8), "no port"),
        (SOURCES_4, AddressPort(ONE, Protocol.TCP, 80), "holds no AddressPort"),
        (ANSWERS_4, AddressPort(ONE, Protocol.UDP, 53), "holds no AddressPort"),
        (ANSWERS_4, AddressPortAddress(SIX, Protocol.UDP, 53, ONE), "family"),
        (ANSWERS_4, AddressPortAddress(ONE, Protocol.UDP, 53, SIX), "family"),
        (ANSWERS_4, AddressPortAddress(ONE, Protocol.UDP, 65536, TWO), "no port"),
        (ANSWERS_4, AddressPortAddress(ONE, Protocol.ICMP, 8, TWO), "no port"),
        (LIST, SetReference(named("S4", "Z")), f"cannot add {named('S4', 'Z')}: there is no such set"),
        (LIST, SetReference(LIST.name), f"cannot add {LIST.name}: "),
        (LIST, SetReference(ADDRESSES_4.name, "c" * 256), "comment"),
    ],
)
def test_a_member_that_does_not_fit_is_refused(sets: Sets, target: IpSet, member: Member, says: str) -> None:
    sets.create([ADDRESSES_4] if target is LIST else [])
    sets.create([target])
    with pytest.raises(KernelRefusal, match=f"^ipset {target.name}: .*{says}"):
        sets.add(target, [member])
    assert not sets.read()[target.name].members


def test_a_full_set_is_refused_with_the_member_that_did_not_fit(sets: Sets) -> None:
    sets.create([ADDRESSES_4])
    fits = [bytes([10, 0, 0, index]) for index in range(MAX_MEMBERS)]
    sets.add(ADDRESSES_4, fits)
    with pytest.raises(KernelRefusal, match=rf"^ipset {ADDRESSES_4.name}: cannot add 10\.1\.0\.0: the set is full"):
        sets.add(ADDRESSES_4, [fits[0], bytes([10, 1, 0, 0]), bytes([10, 1, 0, 1])])
    assert sets.read()[ADDRESSES_4.name].members == frozenset(fits)


def test_members_before_a_refused_one_stay(sets: Sets) -> None:
    sets.create([ADDRESSES_4, ADDRESSES_6, LIST])
    members = [SetReference(ADDRESSES_4.name), SetReference(named("S4", "Z")), SetReference(ADDRESSES_6.name)]
    with pytest.raises(KernelRefusal):
        sets.add(LIST, members)
    assert sets.read()[LIST.name].members == {members[0]}


def test_creating_twice_is_refused(sets: Sets) -> None:
    sets.create([ADDRESSES_4])
    for again in (ADDRESSES_4, replace(ADDRESSES_4, type=SetType.NETWORKS)):
        with pytest.raises(KernelRefusal, match=f"^ipset {ADDRESSES_4.name} cannot be created: .* exists already"):
            sets.create([again])
    assert sets.read() == {ADDRESSES_4.name: ADDRESSES_4}


@pytest.mark.parametrize("length", [31, 32])
def test_a_name_has_31_characters(sets: Sets, length: int) -> None:
    target = replace(ADDRESSES_4, name="x" * length)
    if length == 31:
        sets.create([target])
        sets.destroy([target.name])
        return
    with pytest.raises(KernelRefusal, match="cannot be created: its name has over 31 characters"):
        sets.create([target])


def test_members_need_their_set(sets: Sets) -> None:
    for change in (sets.add, sets.remove):
        with pytest.raises(KernelRefusal, match=f"^ipset {ADDRESSES_4.name}: cannot .* there is no such set"):
            change(ADDRESSES_4, [ONE])


def test_sets_are_destroyed_and_the_absent_are_no_error(sets: Sets) -> None:
    sets.create([ADDRESSES_4, ADDRESSES_6])
    sets.add(ADDRESSES_4, [ONE])
    sets.destroy([ADDRESSES_4.name, named("S4", "Z"), ADDRESSES_4.name])
    assert sets.read() == {ADDRESSES_6.name: ADDRESSES_6}
    sets.destroy([])


def test_a_member_set_goes_with_or_after_its_list(sets: Sets) -> None:
    sets.create([ADDRESSES_4, LIST])
    sets.add(LIST, [SetReference(ADDRESSES_4.name)])
    with pytest.raises(KernelRefusal, match=f"^ipset {ADDRESSES_4.name} cannot be destroyed: a rule or another set"):
        sets.destroy([ADDRESSES_4.name])
    sets.destroy([ADDRESSES_4.name, LIST.name])
    assert sets.read() == {}


def test_the_sets_of_others_are_not_read(sets: Sets) -> None:
    sets.create([replace(ADDRESSES_4, name="KUBE-LOOP-BACK"), replace(ADDRESSES_4, name="NETPOL-mine"), ADDRESSES_6])
    assert sets.read() == {ADDRESSES_6.name: ADDRESSES_6}


@pytest.mark.parametrize(("target", "members"), FILLED)
def test_one_set_is_read_alone(sets: Sets, target: IpSet, members: set[Member]) -> None:
    sets.create([target, replace(ADDRESSES_4, name=named("S4", "B"))])
    assert sets.read_members(target) == frozenset()
    sets.add(target, members)
    assert sets.read_members(target) == members


def test_the_members_of_no_set_are_refused(sets: Sets) -> None:
    with pytest.raises(KernelRefusal, match=f"^ipset {ADDRESSES_4.name} cannot be read: there is no such set"):
        sets.read_members(ADDRESSES_4)


def test_a_set_is_destroyed_at_once_or_not_at_all(sets: Sets) -> None:
    sets.create([ADDRESSES_4, LIST])
    sets.add(LIST, [SetReference(ADDRESSES_4.name)])
    assert not sets.destroy_unused(ADDRESSES_4.name)
    assert ADDRESSES_4.name in sets.read()
    assert sets.destroy_unused(LIST.name)
    assert sets.destroy_unused(ADDRESSES_4.name)
    assert sets.read() == {}
    assert sets.destroy_unused(ADDRESSES_4.name)


def test_a_survey_counts_the_members_of_our_sets(sets: Sets) -> None:
    assert sets.survey() == {}
    sets.create([replace(ADDRESSES_4, name="KUBE-LOOP-BACK"), ADDRESSES_4, NETWORKS_6, ANSWERS_4, LIST])
    sets.add(ADDRESSES_4, [ONE, TWO])
    sets.add(LIST, [SetReference(ADDRESSES_4.name, "why")])
    assert sets.survey() == {
        ADDRESSES_4.name: SetSummary(SetType.ADDRESSES, V4, None, 2),
        NETWORKS_6.name: SetSummary(SetType.NETWORKS, V6, None, 0),
        ANSWERS_4.name: SetSummary(SetType.ADDRESS_PORT_ADDRESSES, V4, 300, 0),
        LIST.name: SetSummary(SetType.SETS, None, None, 1),
    }
    sets.remove(ADDRESSES_4, [ONE])
    assert sets.survey()[ADDRESSES_4.name].members == 1
