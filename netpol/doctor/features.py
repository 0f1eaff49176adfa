"""What compiled rules and sets need of the kernel: an example of each, and the module that provides it.

What only the service proxy's rules need is no matter of the firewall's, and not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortAddress,
    AddToSet,
    ConnectionState,
    FirstPacket,
    Goto,
    InNetwork,
    InSet,
    InState,
    IpSet,
    Jump,
    LocalAddress,
    Log,
    NetworkMember,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Reject,
    Rule,
    SetReference,
    SetType,
    Side,
    ToPorts,
    Tunnelled,
)
from netpol.model.networks import Family, parse_address, parse_network
from netpol.model.ports import PortRange, Protocol
from netpol.settings import Variant

CHAIN, OTHER_CHAIN = names.PREFIX + "TRIAL", names.PREFIX + "TRIAL-2"
"""The chain the rules are tried in, and one for them to lead to."""

HTTP, HTTPS = PortRange(80, 80), PortRange(443, 443)

TABLE_MODULES = {
    (Variant.NFT, Family.IPV4): "nft_compat",
    (Variant.NFT, Family.IPV6): "nft_compat",
    (Variant.LEGACY, Family.IPV4): "iptable_filter",
    (Variant.LEGACY, Family.IPV6): "ip6table_filter",
}


@dataclass(frozen=True, slots=True)
class RuleFeature:
    """A match or target, the kernel module behind it, and a rule that loads where the module is there."""

    name: str
    module: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class SetFeature:
    """A type of set, the kernel module behind it, and a set of it."""

    name: str
    module: str
    set: IpSet


def set_features(family: Family) -> tuple[SetFeature, ...]:
    """Every type of set the compiler makes, in an order in which they can be created."""
    address, network, pairs, triples, group = (names.shared_set("T", family, kind.value) for kind in _KINDS)
    around, packed = _NETWORKS[family], parse_address(_HOSTS[family]).packed
    hole = NetworkMember(packed, family.bits, nomatch=True)
    net = frozenset({NetworkMember(around.network_address.packed, around.prefixlen), hole})
    web = AddressPort(packed, Protocol.TCP, 80)
    answer = AddressPortAddress(packed, Protocol.UDP, 53, packed)
    return (
        SetFeature("hash:ip", "ip_set_hash_ip", IpSet(address, SetType.ADDRESSES, family, frozenset({packed}))),
        SetFeature("hash:net", "ip_set_hash_net", IpSet(network, SetType.NETWORKS, family, net)),
        SetFeature("hash:ip,port", "ip_set_hash_ipport", IpSet(pairs, SetType.ADDRESS_PORTS, family, frozenset({web}))),
        SetFeature(
            "hash:ip,port,ip",
            "ip_set_hash_ipportip",
            IpSet(triples, SetType.ADDRESS_PORT_ADDRESSES, family, frozenset({answer}), timeout_seconds=300),
        ),
        SetFeature(
            "list:set",
            "ip_set_list_set",
            IpSet(group, SetType.SETS, None, frozenset({SetReference(address, "why it is here"), SetReference(pairs)})),
        ),
    )


def rule_features(family: Family) -> tuple[RuleFeature, ...]:
    """Every match and target the compiler uses in the family's tables; their sets are those of `set_features`."""
    *_, triples, group = (feature.set.name for feature in set_features(family))
    source, destination = Side.SOURCE, Side.DESTINATION
    tcp, udp, sctp, icmp = (OfProtocol(protocol) for protocol in _PROTOCOLS)
    living = InState(frozenset({ConnectionState.ESTABLISHED, ConnectionState.RELATED}), negated=True)
    from_there = InNetwork(Side.SOURCE, _NETWORKS[family])
    common = (
        RuleFeature("jump", "", Rule((from_there,), Jump(OTHER_CHAIN))),
        RuleFeature("goto", "", Rule((from_there,), Goto(OTHER_CHAIN))),
        RuleFeature("comment", "xt_comment", Rule((), Action.RETURN, "a comment")),
        RuleFeature("conntrack", "xt_conntrack", Rule((living,), Action.RETURN)),
        RuleFeature("conntrack status", "xt_conntrack", Rule((FirstPacket(),), Action.RETURN)),
        RuleFeature("addrtype", "xt_addrtype", Rule((LocalAddress(Side.SOURCE, negated=True),), Action.RETURN)),
        RuleFeature("set", "xt_set", Rule((InSet(group, (destination, destination)),), Action.RETURN)),
        RuleFeature("tcp", "xt_tcpudp", Rule((tcp, NotSyn(), ToPorts((HTTP,))), Action.RETURN)),
        RuleFeature("udp", "xt_tcpudp", Rule((udp, ToPorts((HTTP,))), Action.RETURN)),
        RuleFeature("sctp", "xt_sctp", Rule((sctp, NotInit(), ToPorts((HTTP,))), Action.RETURN)),
        RuleFeature("tunnelled", "", Rule((Tunnelled(),), Action.RETURN)),
        RuleFeature("multiport", "xt_multiport", Rule((tcp, ToPorts((HTTP, HTTPS))), Action.RETURN)),
        RuleFeature("NFLOG", "xt_NFLOG", Rule((), Log(100, "a prefix"))),
        RuleFeature("REJECT", _REJECT_MODULES[family], Rule((tcp,), Reject.RESET)),
        RuleFeature("SET", "xt_set", Rule((), AddToSet(triples, (source, source, destination)))),
    )
    if family is Family.IPV4:
        return (*common, RuleFeature("icmp", "", Rule((icmp,), Action.RETURN)))
    return (*common, RuleFeature("icmp6", "ip6_tables", Rule((icmp, OfIcmpv6Type(135)), Action.RETURN)))


_KINDS = (
    SetType.ADDRESSES,
    SetType.NETWORKS,
    SetType.ADDRESS_PORTS,
    SetType.ADDRESS_PORT_ADDRESSES,
    SetType.SETS,
)
_REJECT_MODULES = {Family.IPV4: "ipt_REJECT", Family.IPV6: "ip6t_REJECT"}
_NETWORKS = {Family.IPV4: parse_network("10.0.0.0/24"), Family.IPV6: parse_network("fd00::/64")}
_HOSTS = {Family.IPV4: "10.0.0.1", Family.IPV6: "fd00::1"}
_PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP)
