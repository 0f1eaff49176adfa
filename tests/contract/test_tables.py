"""What every writer of filter tables does and refuses: both variants' tools, and the one in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest
import rule_forms
from rule_forms import ADDRESS_SET, ANSWER_SET, CHAIN, LIST_SET, PORT_SET, SOURCE_SET

from netpol.compiler.ruleset import FILTER_HOOKS, Hook, IpSet, SetType
from netpol.dataplane import ipset
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables, tool_name
from netpol.dataplane.kernel import HookRule, KernelTable, Sets, Tables
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.render import render_rule
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant


class Others(Protocol):
    """Somebody else, who writes rules too."""

    def append(self, chain: str, *rules: str) -> None:
        """Append rules to a chain, made where it is missing."""

    def rules(self, chain: str) -> Sequence[str]:
        """The rules of a chain."""


@dataclass(frozen=True, slots=True)
class OthersInMemory:
    kernel: MemoryKernel
    family: Family

    def append(self, chain: str, *rules: str) -> None:
        self.kernel.tables.plant(self.family, chain, *rules)

    def rules(self, chain: str) -> Sequence[str]:
        return self.kernel.tables.rules(self.family, chain)


@dataclass(frozen=True, slots=True)
class OthersByTool:
    tool: str

    def append(self, chain: str, *rules: str) -> None:
        declared = [] if chain in Hook.__members__ else [f":{chain} - [0:0]"]
        lines = ["*filter", *declared, *(f"-A {chain} {rule}" for rule in rules), "COMMIT", ""]
        subprocess.run((f"{self.tool}-restore", "--noflush"), input="\n".join(lines), text=True, check=True)

    def rules(self, chain: str) -> Sequence[str]:
        saved = subprocess.run((f"{self.tool}-save", "-t", "filter"), capture_output=True, text=True, check=True).stdout
        head = f"-A {chain} "
        return tuple(line.removeprefix(head) for line in saved.split("\n") if line.startswith(head))


@dataclass(frozen=True, slots=True)
class Kernel:
    """One family's table, the sets beside it, and another writer."""

    family: Family
    tables: Tables
    sets: Sets
    others: Others

    def write(self, *lines: str) -> None:
        self.tables.write(self.family, lines)

    def read(self) -> KernelTable:
        return self.tables.read(self.family)


WRITERS = ["memory", *(pytest.param(variant, marks=pytest.mark.kernel, id=variant.value) for variant in Variant)]


@pytest.fixture(params=Family, ids=lambda family: f"IPv{family.value}")
def family(request: pytest.FixtureRequest) -> Family:
    assert isinstance(request.param, Family)
    return request.param


@pytest.fixture(params=WRITERS)
def kernel(request: pytest.FixtureRequest, family: Family) -> Iterator[Kernel]:
    if request.param == "memory":
        memory = MemoryKernel()
        yield Kernel(family, memory.tables, memory.sets, OthersInMemory(memory, family))
        return
    request.getfixturevalue("private_network")
    tool = tool_name(request.param, family, "restore").removesuffix("-restore")
    with NetlinkSets() as sets:
        yield Kernel(family, IptablesTables(request.param), sets, OthersByTool(tool))


def make_sets(sets: Sets) -> None:
    sets.create(
        [
            *(IpSet(name, SetType.ADDRESSES, family) for family, name in ADDRESS_SET.items()),
            *(IpSet(name, SetType.ADDRESS_PORTS, family) for family, name in PORT_SET.items()),
            *(
                IpSet(name, SetType.ADDRESS_PORT_ADDRESSES, family, timeout_seconds=300)
                for family, name in ANSWER_SET.items()
            ),
            *(IpSet(name, SetType.ADDRESS_PORT_NETWORKS, family) for family, name in SOURCE_SET.items()),
            IpSet(LIST_SET, SetType.SETS, None),
        ]
    )


def test_an_empty_table(kernel: Kernel) -> None:
    assert kernel.read() == KernelTable(dict.fromkeys(FILTER_HOOKS, ()), {})


def test_every_form_of_rule_reads_back(kernel: Kernel) -> None:
    make_sets(kernel.sets)
    rules = tuple(render_rule(rule, kernel.family) for rule, _ in rule_forms.forms(kernel.family))
    kernel.write(":NETPOL-INPUT - [0:0]", f":{CHAIN} - [0:0]", *(f"-A NETPOL-INPUT {rule}" for rule in rules))
    assert kernel.read().chains == {"NETPOL-INPUT": rules, CHAIN: ()}


def test_a_declared_chain_is_made_or_emptied(kernel: Kernel) -> None:
    kernel.write(
        ":NETPOL-INPUT - [0:0]", ":NETPOL-OUTPUT - [0:0]", "-A NETPOL-INPUT -j DROP", "-A NETPOL-OUTPUT -j DROP"
    )
    kernel.write(":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j RETURN", "-A NETPOL-INPUT -j DROP")
    assert kernel.read().chains == {"NETPOL-INPUT": ("-j RETURN", "-j DROP"), "NETPOL-OUTPUT": ("-j DROP",)}


def test_chains_are_filled_emptied_and_removed(kernel: Kernel) -> None:
    kernel.write(":NETPOL-INPUT - [0:0]", f":{CHAIN} - [0:0]", f"-A NETPOL-INPUT -g {CHAIN}", f"-A {CHAIN} -j DROP")
    kernel.write("-F NETPOL-INPUT", f"-F {CHAIN}", f"-X {CHAIN}")
    assert kernel.read().chains == {"NETPOL-INPUT": ()}


def test_the_first_rule_of_a_hook_is_ours_and_others_keep_theirs(kernel: Kernel) -> None:
    kernel.others.append("FORWARD", "-p tcp -j ACCEPT", "-p udp -j DROP")
    kernel.write(":NETPOL-FORWARD - [0:0]", "-I FORWARD 1 -j NETPOL-FORWARD")
    assert kernel.read().hooks[Hook.FORWARD] == (HookRule(1, "-j NETPOL-FORWARD"),)
    kernel.others.append("FORWARD", "-j NETPOL-FORWARD")
    assert kernel.read().hooks[Hook.FORWARD] == (HookRule(1, "-j NETPOL-FORWARD"), HookRule(4, "-j NETPOL-FORWARD"))
    kernel.write("-D FORWARD 4")
    assert kernel.read().hooks[Hook.FORWARD] == (HookRule(1, "-j NETPOL-FORWARD"),)
    kernel.write("-D FORWARD -j NETPOL-FORWARD", "-X NETPOL-FORWARD")
    assert kernel.read() == KernelTable(dict.fromkeys(FILTER_HOOKS, ()), {})
    assert list(kernel.others.rules("FORWARD")) == ["-p tcp -j ACCEPT", "-p udp -j DROP"]


def test_a_rule_is_inserted_where_it_is_told(kernel: Kernel) -> None:
    kernel.write(":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j DROP", "-A NETPOL-INPUT -p tcp -j DROP")
    kernel.write("-I NETPOL-INPUT 2 -p udp -j DROP", "-I NETPOL-INPUT -j RETURN")
    kernel.write("-I NETPOL-INPUT 5 -p sctp -j DROP")
    assert kernel.read().chains == {
        "NETPOL-INPUT": ("-j RETURN", "-j DROP", "-p udp -j DROP", "-p tcp -j DROP", "-p sctp -j DROP"),
    }


def test_only_the_first_of_equal_rules_is_deleted(kernel: Kernel) -> None:
    kernel.write(":NETPOL-INPUT - [0:0]", *["-A NETPOL-INPUT -j DROP", "-A NETPOL-INPUT -j RETURN"] * 2)
    kernel.write("-D NETPOL-INPUT -j DROP")
    assert kernel.read().chains == {"NETPOL-INPUT": ("-j RETURN", "-j DROP", "-j RETURN")}


def test_rules_of_others_that_lead_to_ours_are_told_by_chain(kernel: Kernel) -> None:
    kernel.write(":NETPOL-INPUT - [0:0]")
    kernel.others.append("THEIRS", "-p tcp -j ACCEPT", '-m comment --comment "their jump" -j NETPOL-INPUT')
    (stray,) = kernel.read().strays["THEIRS"]
    assert stray == HookRule(2, '-m comment --comment "their jump" -j NETPOL-INPUT')
    with pytest.raises(KernelRefusal):
        kernel.write("-X NETPOL-INPUT")
    kernel.write(f"-D THEIRS {stray.text}", "-X NETPOL-INPUT")
    assert kernel.read().chains == {}
    assert list(kernel.others.rules("THEIRS")) == ["-p tcp -j ACCEPT"]


def test_families_have_tables_of_their_own(kernel: Kernel) -> None:
    kernel.write(":NETPOL-INPUT - [0:0]")
    other = Family.IPV6 if kernel.family is Family.IPV4 else Family.IPV4
    assert kernel.tables.read(other).chains == {}


def test_a_loop_no_packet_can_reach_is_taken_until_one_can(kernel: Kernel) -> None:
    kernel.write(
        ":NETPOL-INPUT - [0:0]", f":{CHAIN} - [0:0]", f"-A NETPOL-INPUT -j {CHAIN}", f"-A {CHAIN} -g NETPOL-INPUT"
    )
    before = kernel.read()
    with pytest.raises(KernelRefusal):
        kernel.write("-I INPUT 1 -j NETPOL-INPUT")
    assert kernel.read() == before


REFUSED = {
    "jump to no chain": ["-A NETPOL-INPUT -j NETPOL-EGRESS"],
    "goto no chain": ["-A NETPOL-INPUT -g NETPOL-EGRESS"],
    "goto a target": ["-A NETPOL-INPUT -g DROP"],
    "unknown target": ["-A NETPOL-INPUT -j NONSENSE"],
    "jump to a hook": ["-A NETPOL-INPUT -j FORWARD"],
    "no such set": ["-A NETPOL-INPUT -m set --match-set NETPOL-S4-ZZZZZZZZZZZZZZZZ src -j DROP"],
    "set of the other family": ["-A NETPOL-INPUT -m set --match-set {other_set} src -j DROP"],
    "unknown match": ["-A NETPOL-INPUT -m nonsense -j DROP"],
    "unknown option": ["-A NETPOL-INPUT --nonsense -j DROP"],
    "option of a match that is not there": [f"-A NETPOL-INPUT --match-set {LIST_SET} src -j DROP"],
    "two sources": ["-A NETPOL-INPUT -s {network} -s {network} -j DROP"],
    "network of the other family": ["-A NETPOL-INPUT -s {other_network} -j DROP"],
    "ports without protocol": ["-A NETPOL-INPUT -m multiport --dports 80,81 -j DROP"],
    "port of another protocol": ["-A NETPOL-INPUT -p udp -m tcp --dport 80 -j DROP"],
    "16 ports": [f"-A NETPOL-INPUT -p tcp -m multiport --dports {','.join(map(str, range(1, 17)))} -j DROP"],
    "15 ports, one a range": [
        f"-A NETPOL-INPUT -p tcp -m multiport --dports {','.join(map(str, range(1, 15)))},20:30 -j DROP"
    ],
    "no port": ["-A NETPOL-INPUT -p tcp -m tcp --dport 65536 -j DROP"],
    "ports backwards": ["-A NETPOL-INPUT -p tcp -m tcp --dport 90:80 -j DROP"],
    "unknown SCTP chunk": ["-A NETPOL-INPUT -p sctp -m sctp --chunk-types any NONSENSE -j DROP"],
    "unknown way to match SCTP chunks": ["-A NETPOL-INPUT -p sctp -m sctp --chunk-types none INIT -j DROP"],
    "SCTP chunks without SCTP": ["-A NETPOL-INPUT -p tcp -m tcp --chunk-types only INIT -j DROP"],
    "masquerade outside the nat table": ["-A NETPOL-INPUT -j MASQUERADE"],
    "a ping without ICMP": ["-A NETPOL-INPUT -p udp -m {ping} -j DROP"],
    "no mark": ["-A NETPOL-INPUT -j MARK --set-xmark nonsense"],
    "two targets": ["-A NETPOL-INPUT -j DROP -j RETURN"],
    "rule in no chain": ["-A NETPOL-EGRESS -j DROP"],
    "chain of 29 characters": [f":{'x' * 29} - [0:0]"],
    "remove no chain": ["-X NETPOL-EGRESS"],
    "empty no chain": ["-F NETPOL-EGRESS"],
    "remove a filled chain": ["-X NETPOL-INPUT"],
    "remove a chain in use": [f"-X {CHAIN}"],
    "remove a hook": ["-X INPUT"],
    "delete no rule": ["-D NETPOL-INPUT -j RETURN"],
    "delete beyond the end": ["-D NETPOL-INPUT 3"],
    "insert beyond the end": ["-I NETPOL-INPUT 4 -j DROP"],
    "unknown command": ["-Q NETPOL-INPUT"],
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED)
def test_refused_lines_change_nothing(kernel: Kernel, lines: list[str]) -> None:
    make_sets(kernel.sets)
    kernel.write(":NETPOL-INPUT - [0:0]", f":{CHAIN} - [0:0]", "-A NETPOL-INPUT -j DROP", f"-A NETPOL-INPUT -j {CHAIN}")
    four = kernel.family is Family.IPV4
    networks = ("10.0.0.0/8", "fd00::/8") if four else ("fd00::/8", "10.0.0.0/8")
    other_set = ADDRESS_SET[Family.IPV6 if four else Family.IPV4]
    before = kernel.read()
    ping = "icmp --icmp-type 8" if four else "icmp6 --icmpv6-type 128"
    words = {"network": networks[0], "other_network": networks[1], "other_set": other_set, "ping": ping}
    filled = [line.format(**words) for line in lines]
    with pytest.raises(KernelRefusal):
        kernel.write(":NETPOL-OUTPUT - [0:0]", "-A NETPOL-OUTPUT -j RETURN", *filled)
    assert kernel.read() == before


def test_a_chain_may_have_28_characters_and_fifteen_ports(kernel: Kernel) -> None:
    kernel.write(
        f":{'x' * 28} - [0:0]",
        f"-A {'x' * 28} -p tcp -m multiport --dports {','.join(map(str, range(1, 14)))},20:30 -j DROP",
    )
    assert len(kernel.others.rules("x" * 28)) == 1


def test_a_set_lives_while_a_rule_refers_to_it(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sets(kernel.sets)
    name = ADDRESS_SET[kernel.family]
    kernel.write(":NETPOL-INPUT - [0:0]", f"-A NETPOL-INPUT -m set ! --match-set {name} src -j DROP")
    with monkeypatch.context() as impatient:
        impatient.setattr(ipset, "_RELEASE_SECONDS", 0.1)
        with pytest.raises(KernelRefusal, match=f"^ipset {name} cannot be destroyed: a rule or another set refers to"):
            kernel.sets.destroy([name])
    kernel.write("-F NETPOL-INPUT")
    kernel.sets.destroy([name])
    assert name not in kernel.sets.read()
