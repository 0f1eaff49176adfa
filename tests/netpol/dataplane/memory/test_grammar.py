"""Every form of rule the compiler can make is taken; every other word is refused, in words."""

from __future__ import annotations

import pytest
import rule_forms
from rule_forms import ADDRESS_SET, ANSWER_SET, CHAIN, LIST_SET, PORT_SET, SOURCE_SET

from netpol.compiler.ruleset import IpSet, SetType, TableName
from netpol.dataplane.memory.grammar import Surroundings, why_refused
from netpol.dataplane.render import render_rule
from netpol.dataplane.ruletext import split
from netpol.model.networks import Family

SETS = {
    **{name: IpSet(name, SetType.ADDRESSES, family) for family, name in ADDRESS_SET.items()},
    **{name: IpSet(name, SetType.ADDRESS_PORTS, family) for family, name in PORT_SET.items()},
    **{name: IpSet(name, SetType.ADDRESS_PORT_ADDRESSES, family) for family, name in ANSWER_SET.items()},
    **{name: IpSet(name, SetType.ADDRESS_PORT_NETWORKS, family) for family, name in SOURCE_SET.items()},
    LIST_SET: IpSet(LIST_SET, SetType.SETS, None),
}


def reason(rule: str, family: Family = Family.IPV4, table: TableName = TableName.FILTER) -> str | None:
    return why_refused(split(rule), Surroundings(table, family, SETS.get, frozenset({CHAIN})))


@pytest.mark.parametrize("family", Family)
def test_every_form_is_taken(family: Family) -> None:
    for rule, _ in rule_forms.forms(family):
        assert reason(render_rule(rule, family), family) is None
    for rule, _ in (*rule_forms.nat_forms(), *rule_forms.balanced_forms(family)):
        assert reason(render_rule(rule, family), family, TableName.NAT) is None


@pytest.mark.parametrize(
    ("target", "tables"),
    [
        ("ACCEPT", {TableName.FILTER, TableName.NAT, TableName.MANGLE}),
        ("MARK --set-xmark 0x1/0xffffffff", {TableName.FILTER, TableName.NAT, TableName.MANGLE}),
        ("DROP", {TableName.FILTER, TableName.MANGLE}),
        ("REJECT --reject-with icmp-port-unreachable", {TableName.FILTER}),
        ("MASQUERADE", {TableName.NAT}),
    ],
)
def test_a_target_is_of_its_tables(target: str, tables: set[TableName]) -> None:
    assert {table for table in TableName if reason(f"-j {target}", table=table) is None} == tables


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("-j", "'-j' needs a value"),
        ("nonsense", "unknown option 'nonsense'"),
        ('"-j" DROP', "unknown option '-j'"),
        ("! -j DROP", "'-j' cannot be negated"),
        ("!", "'!' needs a value"),
        ("-s 10.0.0.1/8 -j DROP", "has host bits set"),
        ("-p gre -j DROP", "unknown protocol 'gre'"),
        ("-m icmp6 --icmpv6-type 1 -j DROP", "couldn't load match 'icmp6'"),
        ("-m icmp --icmp-type 8 -j DROP", "icmp needs -p icmp"),
        ("-p 41 -j DROP", "unknown protocol '41'"),
        ("-m ipvs --vaddr fd00::1 --vdir ORIGINAL -j DROP", "of the other family"),
        ("-m ipvs --vdir BACKWARDS -j DROP", "unknown direction 'BACKWARDS'"),
        ("--vdir ORIGINAL -j DROP", "without ipvs"),
        ("-j MARK --set-xmark 7", "'7' is no mark and mask"),
        ("-j DROP --set-xmark 0x1/0xffffffff", "without MARK"),
        (f"-m set --match-set {LIST_SET} up -j DROP", "no sides of a packet"),
        (f"-m set --match-set {LIST_SET} {','.join(['src'] * 7)} -j DROP", "no sides of a packet"),
        ("-p tcp --dport 80 -j DROP", "unknown option '--dport'"),
        ("-p tcp -m tcp --dport 1:2:3 -j DROP", "is no port"),
        ("-p icmp -m multiport --dports 1,2 -j DROP", "without the protocol"),
        ("-m conntrack --ctstate NEVER -j DROP", "bad ctstate"),
        ("-p tcp -m tcp --tcp-flags SYN,XYZ SYN -j DROP", "unknown TCP flags"),
        ("-m addrtype --src-type MARS -j DROP", "unknown address type"),
        ("-j NFLOG --nflog-group 65536", "takes no '65536'"),
        ("-j DROP --nflog-group 1", "without NFLOG"),
        ("-m conntrack --ctstatus SEEN -j DROP", "unknown ctstatus 'SEEN'"),
        ("-j REJECT --reject-with tcp-reset", "tcp-reset needs -p tcp"),
        ("-j REJECT --reject-with icmp6-port-unreachable", "unknown reject type"),
        ("-j DROP --reject-with tcp-reset", "without REJECT"),
        (f"-j DROP --add-set {ANSWER_SET[Family.IPV4]} src,src,dst", "without SET"),
        (f"-j SET --add-set {ANSWER_SET[Family.IPV6]} src,src,dst", "not applicable"),
        ("-j SET --add-set NETPOL-NONE src", "doesn't exist"),
    ],
)
def test_other_words_are_refused(rule: str, says: str) -> None:
    assert says in (reason(rule) or "")


def test_icmp6_needs_its_protocol() -> None:
    assert reason("-m icmp6 --icmpv6-type 135 -j DROP", Family.IPV6) == "icmp6 needs -p ipv6-icmp"
    assert "takes no '256'" in (reason("-p ipv6-icmp -m icmp6 --icmpv6-type 256 -j DROP", Family.IPV6) or "")
    assert reason("-m icmp --icmp-type 8 -j DROP", Family.IPV6) == "couldn't load match 'icmp'"
