"""What the kernel and its tools would refuse of a Ruleset, found without them.

Each is an AssertionError that names the rule, the set or the chains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netpol.compiler.ruleset import (
    FILTER_HOOKS,
    Action,
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    AddToSet,
    Balanced,
    EchoRequest,
    FirstPacket,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    IpSet,
    Jump,
    LocalAddress,
    Log,
    Match,
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
    Table,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Family, family_of
from netpol.model.ports import Protocol

MAX_NESTED_CHAINS = 15
"""How deep chains may lie below a built-in one, gotos counting like jumps: nf_tables refuses the 16th."""

MAX_PORT_SLOTS = 15
"""What one multiport match holds; a range takes two."""

MAX_PREFIX = 63
"""What NFLOG keeps of a prefix, in bytes."""

MAX_COMMENT = 255
"""What a rule's comment may have, in bytes; iptables refuses more."""

DIMENSIONS = {
    SetType.ADDRESSES: 1,
    SetType.NETWORKS: 1,
    SetType.ADDRESS_PORTS: 2,
    SetType.ADDRESS_PORT_ADDRESSES: 3,
    SetType.ADDRESS_PORT_NETWORKS: 3,
    SetType.SETS: 1,
}
"""The sides that a packet is looked up by in a set of each type, at the least."""


_TYPES: dict[type, SetType] = {
    AddressPort: SetType.ADDRESS_PORTS,
    AddressPortAddress: SetType.ADDRESS_PORT_ADDRESSES,
    AddressPortNetwork: SetType.ADDRESS_PORT_NETWORKS,
}


def check(ruleset: Ruleset) -> None:
    """Every set, chain and rule is one that the kernel takes."""
    for name, each in ruleset.sets.items():
        assert each.name == name, f"the set {each.name} is filed as {name}"
        _check_members(each, ruleset.sets)
    for family, table in ruleset.tables.items():
        rules = [*table.hooks.values(), *(rule for chain in table.chains.values() for rule in chain)]
        for rule in rules:
            _check_rule(rule, family, ruleset.sets)
            _check_table(rule, set(table.hooks))
        _check_nesting(table)


def _check_members(each: IpSet, sets: Mapping[str, IpSet]) -> None:
    assert (each.family is None) == (each.type is SetType.SETS), f"{each.name} is a {each.type} of {each.family}"
    prefixes: set[tuple[bytes, int]] = set()
    for member in each.members:
        match member:
            case bytes():
                assert each.type is SetType.ADDRESSES, f"{each.name} holds {member!r}"
                _check_size(each, member)
            case NetworkMember(packed, length):
                assert each.type is SetType.NETWORKS, f"{each.name} holds {member}"
                _check_size(each, packed)
                host_bits = len(packed) * 8 - length
                assert 1 <= length <= len(packed) * 8, f"hash:net refuses the prefix length of {member}"
                assert int.from_bytes(packed) & ((1 << host_bits) - 1) == 0, f"{member} has host bits"
                assert (packed, length) not in prefixes, f"{each.name} holds {member} as match and as nomatch"
                prefixes.add((packed, length))
            case AddressPort() | AddressPortAddress() | AddressPortNetwork():
                _check_address_port(each, member)
            case SetReference(name):
                assert each.type is SetType.SETS, f"{each.name} holds {member}"
                assert name in sets, f"there is no set {name}"
                assert sets[name].type is not SetType.SETS, f"{each.name} lists the list:set {name}"
    pairs = [member[:3] for member in each.members if isinstance(member, AddressPort)]
    assert len(pairs) == len(set(pairs)), f"{each.name} holds a port of an address with two comments"
    names = [member.name for member in each.members if isinstance(member, SetReference)]
    assert len(names) == len(set(names)), f"{each.name} lists a set twice"


def _check_address_port(each: IpSet, member: AddressPort | AddressPortAddress | AddressPortNetwork) -> None:
    assert each.type is _TYPES[type(member)], f"{each.name} holds {member}"
    _check_size(each, member.packed)
    assert member.protocol.has_ports, f"{each.name} holds {member}"
    assert 0 <= member.port <= 65535, f"{each.name} holds {member}"
    match member:
        case AddressPort(comment=comment):
            assert each.has_comments or not comment, f"{each.name} keeps no comment, and {member} has one"
            assert len(comment.encode()) <= MAX_COMMENT, f"{member} has a comment that is too long"
        case AddressPortAddress(peer=peer):
            _check_size(each, peer)
        case AddressPortNetwork(network=network, prefix=prefix):
            _check_size(each, network)
            assert 1 <= prefix <= len(network) * 8, f"hash:ip,port,net refuses the prefix length of {member}"
            beyond = (1 << len(network) * 8 - prefix) - 1
            assert int.from_bytes(network) & beyond == 0, f"{member} has host bits"


def _check_size(each: IpSet, packed: bytes) -> None:
    assert each.family is not None, f"{each.name} has no family"
    assert len(packed) * 8 == each.family.bits, f"{each.name} holds {packed!r}"


def _check_rule(rule: Rule, family: Family, sets: Mapping[str, IpSet]) -> None:
    protocols = [match.protocol for match in rule.matches if isinstance(match, OfProtocol)]
    tunnelled = [match for match in rule.matches if isinstance(match, Tunnelled)]
    assert len(protocols) + len(tunnelled) <= 1, f"{rule} names two protocols"
    assert len(rule.comment.encode()) <= MAX_COMMENT, f"{rule} has a comment that is too long"
    for match in rule.matches:
        _check_match(match, rule, family, sets)
        assert _demanded(match) is None or set(protocols) & set(_demanded(match) or ()), f"{match} lacks its protocol"
    match rule.target:
        case Log(group, prefix):
            assert 0 <= group <= 65535, f"{rule} logs to no group"
            assert len(prefix.encode()) <= MAX_PREFIX, f"{rule} has a prefix that is too long"
        case AddToSet(name, sides):
            assert name in sets, f"there is no set {name}"
            assert sets[name].family is family, f"{name} is not a set of {family}"
            assert len(sides) == DIMENSIONS[sets[name].type], f"{name} does not take {len(sides)} sides"
        case Reject.RESET:
            assert protocols == [Protocol.TCP], f"{rule} resets what is no TCP"
        case SetMark(mark):
            assert 0 <= mark < 1 << 32, f"{rule} sets a mark of over 32 bits"
        case Action() | Reject() | Jump() | Goto():
            pass
        case _:
            raise AssertionError(f"{rule} has an unknown target")


def _check_table(rule: Rule, hooks: set[Hook]) -> None:
    """The table is told by its hooks: only the filter table has a rule in FORWARD, only nat one in POSTROUTING."""
    if rule.target is Action.MASQUERADE:
        assert hooks <= {Hook.POSTROUTING}, f"{rule} masquerades outside the nat table"
    if isinstance(rule.target, Reject):
        assert not hooks - set(FILTER_HOOKS), f"{rule} rejects outside the filter table"
    if rule.target is Action.DROP:
        assert Hook.POSTROUTING not in hooks, f"{rule} drops in the nat table"


def _check_match(match: Match, rule: Rule, family: Family, sets: Mapping[str, IpSet]) -> None:
    match match:
        case InSet(name, sides):
            assert name in sets, f"there is no set {name}"
            named = sets[name]
            assert named.type is SetType.SETS or named.family is family, f"{name} is not a set of {family}"
            # The kernel takes a wrong number of sides, and then never matches, or not what was meant.
            fits = {1, 2} if named.type is SetType.SETS else {DIMENSIONS[named.type]}
            assert len(sides) in fits, f"{name} does not take {len(sides)} sides"
        case InNetwork(_, network):
            assert family_of(network) is family, f"{rule} is not for a table of {family}"
        case ToPorts(ports):
            slots = sum(1 if each.first == each.last else 2 for each in ports)
            assert 1 <= slots <= MAX_PORT_SLOTS, f"{rule} needs {slots} slots of a multiport match"
        case OfIcmpv6Type():
            assert family is Family.IPV6, f"{rule} is not for a table of {family}"
        case InState(states):
            assert states, f"{rule} matches no state"
        case Balanced(address, protocol, port):
            assert address is None or family_of(address) is family, f"{rule} is not for a table of {family}"
            assert protocol is None or protocol.has_ports, f"{rule} names a virtual server without a port"
            assert port is None or 0 <= port <= 65535, f"{rule} names no port"
        case OfProtocol() | FirstPacket() | NotSyn() | NotInit() | LocalAddress() | EchoRequest() | Tunnelled():
            pass
        case _:
            raise AssertionError(f"{rule} has an unknown match: {match}")


def _demanded(match: Match) -> tuple[Protocol, ...] | None:
    """The protocols of which the rule must name one, for iptables to take this match."""
    match match:
        case ToPorts():
            return (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
        case NotSyn():
            return (Protocol.TCP,)
        case NotInit():
            return (Protocol.SCTP,)
        case OfIcmpv6Type() | EchoRequest():
            return (Protocol.ICMP,)
        case _:
            return None


def _check_nesting(table: Table) -> None:
    """No chain leads back to itself, and none lies deeper than nf_tables allows."""
    depths: dict[str, int] = {}

    def depth(chain: str, above: tuple[str, ...]) -> int:
        assert chain not in above, f"the chains loop: {' > '.join([*above, chain])}"
        assert chain in table.chains, f"there is no chain {chain}, which {above[-1:]} leads to"
        if chain not in depths:
            depths[chain] = 1 + max((depth(n, (*above, chain)) for n in chains_after(table.chains[chain])), default=0)
        return depths[chain]

    for hook, rule in table.hooks.items():
        for chain in chains_after((rule,)):
            found = depth(chain, ())
            assert found <= MAX_NESTED_CHAINS, f"{found} chains are nested below {hook}: nf_tables refuses the 16th"
    for chain in table.chains:
        depth(chain, ())


def chains_after(rules: tuple[Rule, ...]) -> Iterator[str]:
    """The chains these rules lead to."""
    return (rule.target.chain for rule in rules if isinstance(rule.target, Jump | Goto))
