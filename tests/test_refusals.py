"""What no kernel would take, one breach at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from refusals import MAX_NESTED_CHAINS, check

from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortNetwork,
    Balanced,
    EchoRequest,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    IpSet,
    Jump,
    Log,
    Match,
    Member,
    NetworkMember,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Reject,
    Rule,
    Ruleset,
    SetMark,
    SetReference,
    SetType,
    Side,
    Table,
    Target,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Family, parse_address, parse_network
from netpol.model.ports import PortRange, Protocol

TCP, UDP, ICMP = OfProtocol(Protocol.TCP), OfProtocol(Protocol.UDP), OfProtocol(Protocol.ICMP)
WEB = PortRange(80, 80)
SOURCE = (Side.SOURCE,)
LOCALHOST = bytes((127, 0, 0, 1))


def check_chains(chains: Mapping[str, Sequence[Rule]], *sets: IpSet, family: Family = Family.IPV4) -> None:
    """Check a table whose FORWARD jumps to the first of these chains."""
    hooks = {Hook.FORWARD: Rule((), Jump(next(iter(chains))))}
    table = Table(hooks, {name: tuple(rules) for name, rules in chains.items()})
    check(Ruleset({each.name: each for each in sets}, {family: table}))


def check_matches(*matches: Match, family: Family = Family.IPV4) -> None:
    """Check a rule with these matches, beside the empty IPv4 sets HELD and PAIRS and the list LISTED."""
    held = IpSet("HELD", SetType.ADDRESSES, Family.IPV4)
    pairs = IpSet("PAIRS", SetType.ADDRESS_PORTS, Family.IPV4)
    listed = IpSet("LISTED", SetType.SETS, None)
    check_chains({"A": [Rule(matches, Action.DROP)]}, held, pairs, listed, family=family)


def check_set(kind: SetType, *members: Member, family: Family | None = Family.IPV4) -> None:
    """Check a set of this kind with these members, beside an empty MEMBER and the list LISTED."""
    tested = IpSet("TESTED", kind, family, frozenset(members))
    others = (IpSet("LISTED", SetType.SETS, None), IpSet("MEMBER", SetType.ADDRESSES, Family.IPV4))
    check(Ruleset({each.name: each for each in (tested, *others)}, {}))


@pytest.mark.parametrize("target", [Jump("nowhere"), Goto("nowhere")])
def test_a_missing_chain(target: Target) -> None:
    with pytest.raises(AssertionError, match="no chain nowhere"):
        check_chains({"A": [Rule((UDP,), target)]})


@pytest.mark.parametrize("back", [Jump("A"), Goto("A"), Jump("B"), Goto("B")])
def test_a_loop_though_no_packet_may_take_it(back: Target) -> None:
    with pytest.raises(AssertionError, match="loop"):
        check_chains({"A": [Rule((), Jump("B"))], "B": [Rule((UDP,), back)]})


@pytest.mark.parametrize("onward", [Jump, Goto])
def test_chains_nested_deeper_than_nf_tables_allows(onward: type[Jump] | type[Goto]) -> None:
    chains = {f"C{n}": [Rule((), onward(f"C{n + 1}"))] for n in range(MAX_NESTED_CHAINS - 1)}
    last = f"C{MAX_NESTED_CHAINS - 1}"
    check_chains({**chains, last: []})
    with pytest.raises(AssertionError, match="refuses the 16th"):
        check_chains({**chains, last: [Rule((), onward("X"))], "X": []})


@pytest.mark.parametrize(
    "target",
    [Log(65536, "x"), Log(1, "x" * 64)],
)
def test_a_log_nflog_cannot_write(target: Target) -> None:
    with pytest.raises(AssertionError):
        check_chains({"A": [Rule((), target)]})


@pytest.mark.parametrize("matches", [(), (UDP,)])
def test_a_reset_of_what_is_no_tcp(matches: tuple[Match, ...]) -> None:
    check_chains({"A": [Rule((TCP,), Reject.RESET), Rule(matches, Reject.UNREACHABLE)]})
    with pytest.raises(AssertionError, match="no TCP"):
        check_chains({"A": [Rule(matches, Reject.RESET)]})


@pytest.mark.parametrize(
    ("hook", "taken", "refused"),
    [
        (Hook.FORWARD, [Action.DROP, Action.ACCEPT, Reject.UNREACHABLE, SetMark(1)], [Action.MASQUERADE]),
        (Hook.POSTROUTING, [Action.MASQUERADE, Action.ACCEPT, SetMark(1)], [Action.DROP, Reject.UNREACHABLE]),
        (Hook.PREROUTING, [SetMark(1), SetMark(0xFFFFFFFF)], [Reject.UNREACHABLE, Action.MASQUERADE, SetMark(1 << 32)]),
    ],
)
def test_a_target_in_a_table_that_has_it_not(hook: Hook, taken: list[Target], refused: list[Target]) -> None:
    def table(target: Target) -> Ruleset:
        return Ruleset({}, {Family.IPV4: Table({hook: Rule((), Jump("A"))}, {"A": (Rule((), target),)})})

    for target in taken:
        check(table(target))
    for target in refused:
        with pytest.raises(AssertionError, match=r"outside|in the nat table|over 32 bits"):
            check(table(target))


def test_a_comment_that_is_too_long() -> None:
    with pytest.raises(AssertionError, match="comment"):
        check_chains({"A": [Rule((), Action.DROP, "é" * 128)]})


def test_matches_the_tools_take() -> None:
    check_matches(TCP, ToPorts((WEB,)), NotSyn(), InSet("HELD", SOURCE), InSet("PAIRS", SOURCE * 2))
    check_matches(UDP, ToPorts(tuple(PortRange(n, n) for n in range(1, 16))), InSet("LISTED", SOURCE))
    check_matches(ICMP, EchoRequest())
    check_matches(Tunnelled(), InSet("HELD", SOURCE))
    check_matches(Balanced(parse_address("10.96.0.1"), Protocol.TCP, 80), TCP)
    check_matches(ICMP, OfIcmpv6Type(135), InNetwork(Side.SOURCE, parse_network("::/0")), family=Family.IPV6)


@pytest.mark.parametrize(
    "matches",
    [
        (ToPorts((WEB,)),),
        (ICMP, ToPorts((WEB,))),
        (TCP, UDP, ToPorts((WEB,))),
        (TCP, ToPorts(())),
        (TCP, ToPorts(tuple(PortRange(n, n + 1) for n in range(1, 25, 3)))),
        (NotSyn(),),
        (UDP, NotSyn()),
        (NotInit(),),
        (TCP, NotInit()),
        (ICMP, OfIcmpv6Type(135)),
        (InNetwork(Side.SOURCE, parse_network("::/0")),),
        (InState(frozenset()),),
        (EchoRequest(),),
        (UDP, EchoRequest()),
        (TCP, Tunnelled()),
        (Balanced(parse_address("fd00::1")),),
        (Balanced(protocol=Protocol.ICMP),),
        (Balanced(port=65536),),
        (InSet("MISSING", SOURCE),),
        (InSet("HELD", SOURCE * 2),),
        (InSet("PAIRS", SOURCE),),
    ],
)
def test_matches_the_tools_do_not_take(matches: tuple[Match, ...]) -> None:
    with pytest.raises(AssertionError):
        check_matches(*matches)


def test_a_rule_that_names_a_set_of_the_other_family() -> None:
    with pytest.raises(AssertionError, match="not a set of"):
        check_matches(InSet("HELD", SOURCE), family=Family.IPV6)


def test_members_the_sets_take() -> None:
    check_set(SetType.ADDRESSES, LOCALHOST)
    check_set(SetType.ADDRESS_PORTS, AddressPort(LOCALHOST, Protocol.SCTP, 80))
    check_set(SetType.ADDRESS_PORT_NETWORKS, AddressPortNetwork(LOCALHOST, Protocol.TCP, 80, LOCALHOST, 32))
    check_set(SetType.NETWORKS, NetworkMember(LOCALHOST, 32), NetworkMember(bytes(4), 1, nomatch=True))
    check_set(SetType.SETS, SetReference("MEMBER"), family=None)


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (SetType.ADDRESSES, bytes(16)),
        (SetType.ADDRESSES, NetworkMember(LOCALHOST, 32)),
        (SetType.NETWORKS, LOCALHOST),
        (SetType.NETWORKS, NetworkMember(bytes(4), 0)),
        (SetType.NETWORKS, NetworkMember(bytes(4), 33)),
        (SetType.NETWORKS, NetworkMember(LOCALHOST, 8)),
        (SetType.NETWORKS, NetworkMember(bytes(16), 8)),
        (SetType.ADDRESS_PORTS, AddressPort(LOCALHOST, Protocol.ICMP, 8)),
        (SetType.ADDRESS_PORTS, AddressPort(LOCALHOST, Protocol.TCP, 65536)),
        (SetType.ADDRESS_PORTS, AddressPort(bytes(16), Protocol.TCP, 80)),
        (SetType.ADDRESS_PORTS, AddressPort(LOCALHOST, Protocol.TCP, 80, "why")),
        (SetType.ADDRESS_PORTS, AddressPortNetwork(LOCALHOST, Protocol.TCP, 80, LOCALHOST, 32)),
        (SetType.ADDRESS_PORT_NETWORKS, AddressPortNetwork(LOCALHOST, Protocol.TCP, 80, bytes(4), 0)),
        (SetType.ADDRESS_PORT_NETWORKS, AddressPortNetwork(LOCALHOST, Protocol.TCP, 80, LOCALHOST, 8)),
        (SetType.ADDRESS_PORT_NETWORKS, AddressPortNetwork(LOCALHOST, Protocol.TCP, 80, bytes(16), 8)),
        (SetType.ADDRESSES, SetReference("MEMBER")),
    ],
)
def test_members_a_set_does_not_take(kind: SetType, member: Member) -> None:
    with pytest.raises(AssertionError, match=r"TESTED|prefix length|host bits"):
        check_set(kind, member)


def test_a_network_as_match_and_as_nomatch() -> None:
    with pytest.raises(AssertionError, match="as match and as nomatch"):
        check_set(SetType.NETWORKS, NetworkMember(bytes(4), 8), NetworkMember(bytes(4), 8, nomatch=True))


@pytest.mark.parametrize("name", ["MISSING", "LISTED"])
def test_a_list_holds_sets_that_exist_and_are_no_lists(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        check_set(SetType.SETS, SetReference(name), family=None)


def test_a_list_holds_a_set_once_whatever_the_comment() -> None:
    with pytest.raises(AssertionError, match="twice"):
        check_set(SetType.SETS, SetReference("MEMBER", "a"), SetReference("MEMBER", "b"), family=None)


@pytest.mark.parametrize(("kind", "family"), [(SetType.SETS, Family.IPV4), (SetType.ADDRESSES, None)])
def test_only_a_list_has_no_family(kind: SetType, family: Family | None) -> None:
    with pytest.raises(AssertionError, match="TESTED is a"):
        check_set(kind, family=family)


def test_a_set_filed_under_another_name() -> None:
    with pytest.raises(AssertionError, match="filed as OTHER"):
        check(Ruleset({"OTHER": IpSet("S", SetType.SETS, None)}, {}))


@pytest.mark.parametrize("comments", [("a", "b"), ("a", "c" * 256)])
def test_a_port_of_an_address_has_one_comment_that_fits(comments: tuple[str, str]) -> None:
    members = frozenset(AddressPort(LOCALHOST, Protocol.TCP, 80, comment) for comment in comments)
    with pytest.raises(AssertionError, match="comment"):
        check(Ruleset({"S": IpSet("S", SetType.ADDRESS_PORTS, Family.IPV4, members, has_comments=True)}, {}))
