"""What the service proxy's rules and sets need of the kernel beyond the firewall's: an example of each, its module."""

from __future__ import annotations

from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortNetwork,
    Balanced,
    EchoRequest,
    IpSet,
    OfProtocol,
    Rule,
    SetMark,
    SetType,
    TableName,
)
from netpol.doctor.features import RuleFeature, SetFeature
from netpol.model.networks import Family, parse_address
from netpol.model.ports import Protocol
from netpol.settings import Variant

SCHEDULERS = ("rr", "lc", "sh", "dh", "wrr", "wlc", "sed", "nq", "mh", "lblc", "lblcr", "fo", "ovf")
"""Those of IPVS that may be asked for; the kernel has each in a module of its own."""


@dataclass(frozen=True, slots=True)
class TableFeature:
    """A match or target, and the table that it is used in."""

    table: TableName
    feature: RuleFeature


def table_features(family: Family) -> tuple[TableFeature, ...]:
    """Every match and target that only the service proxy's rules use."""
    ping = Rule((OfProtocol(Protocol.ICMP), EchoRequest()), Action.RETURN)
    return (
        TableFeature(TableName.FILTER, RuleFeature("a ping", _PING_MODULES[family], ping)),
        TableFeature(TableName.NAT, RuleFeature("ipvs", "xt_ipvs", Rule((Balanced(),), Action.RETURN))),
        TableFeature(TableName.NAT, RuleFeature("MASQUERADE", "xt_MASQUERADE", Rule((), Action.MASQUERADE))),
        TableFeature(TableName.MANGLE, RuleFeature("MARK", "xt_mark", Rule((), SetMark(1)))),
    )


def proxy_set_features(family: Family) -> tuple[SetFeature, ...]:
    """Every type of set that only the service proxy makes."""
    packed = parse_address(_HOSTS[family]).packed
    known = AddressPort(packed, Protocol.TCP, 80, "a comment")
    admitted = AddressPortNetwork(packed, Protocol.TCP, 80, packed, family.bits // 2)
    pairs, networks = (
        names.shared_set("T", family, name) for name in ("comments", SetType.ADDRESS_PORT_NETWORKS.value)
    )
    return (
        SetFeature(
            "hash:ip,port with comments",
            "ip_set_hash_ipport",
            IpSet(pairs, SetType.ADDRESS_PORTS, family, frozenset({known}), has_comments=True),
        ),
        SetFeature(
            "hash:ip,port,net",
            "ip_set_hash_ipportnet",
            IpSet(networks, SetType.ADDRESS_PORT_NETWORKS, family, frozenset({admitted})),
        ),
    )


def module_of(table: TableName, variant: Variant, family: Family) -> str:
    """The module that has the table.

    >>> module_of(TableName.NAT, Variant.LEGACY, Family.IPV6)
    'ip6table_nat'
    """
    if variant is Variant.NFT:
        return "nft_compat"
    return f"{'iptable' if family is Family.IPV4 else 'ip6table'}_{table.value}"


_HOSTS = {Family.IPV4: "10.0.0.1", Family.IPV6: "fd00::1"}
_PING_MODULES = {Family.IPV4: "", Family.IPV6: "ip6_tables"}
