"""Tables other than filter are written and read as it is, and several by threads of one process."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
import rule_forms
from private_network import private_network as new_network
from rule_forms import CHAIN, printed

from netpol.compiler.ruleset import Hook, TableName
from netpol.dataplane import iptables
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.kernel import HookRule
from netpol.dataplane.line_reader import LineReader
from netpol.dataplane.readback import parse_table
from netpol.dataplane.render import render_rule
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

EACH = [pytest.param(variant, family, id=f"{variant.value}-{family.value}") for variant in Variant for family in Family]
NAT, MANGLE = TableName.NAT, TableName.MANGLE


@pytest.mark.parametrize(("variant", "family"), EACH)
def test_every_form_of_nat_is_printed_as_it_was_rendered(
    variant: Variant, family: Family, private_network: None
) -> None:
    """But for `Balanced`, which a kernel without IPVS refuses: tests/vm has it."""
    tables = IptablesTables(variant, table=NAT)
    rules = tuple(render_rule(rule, family) for rule, _ in rule_forms.nat_forms())
    tables.write(
        family,
        [f":{CHAIN} - [0:0]", *(f"-A {CHAIN} {rule}" for rule in rules), f"-I POSTROUTING 1 -j {CHAIN}"],
    )
    found = tables.read(family)
    assert found.chains == {CHAIN: rules}
    assert found.hooks[Hook.POSTROUTING] == (HookRule(1, f"-j {CHAIN}"),)
    assert [line.partition(f"-A {CHAIN} ")[2] for line in tables.save(family).split("\n") if f"-A {CHAIN}" in line] == [
        printed(rule) for rule in rules
    ]


@pytest.mark.parametrize(("variant", "family"), EACH)
def test_each_table_has_its_own_chains(variant: Variant, family: Family, private_network: None) -> None:
    tables = {name: IptablesTables(variant, table=name) for name in TableName}
    for name, number in zip(TableName, (1, 2, 3), strict=True):
        tables[name].write(family, [f":{CHAIN} - [0:0]", *[f"-A {CHAIN} -j RETURN"] * number])
    assert [len(tables[name].read(family).chains[CHAIN]) for name in TableName] == [1, 2, 3]
    tables[MANGLE].write(family, [f"-F {CHAIN}", f"-X {CHAIN}"])
    assert [len(tables[name].read(family).chains) for name in TableName] == [1, 1, 0]


@pytest.mark.parametrize("name", TableName)
def test_reading_makes_no_table(name: TableName, private_network: None) -> None:
    for variant in Variant:
        for family in Family:
            assert IptablesTables(variant, table=name).read(family).chains == {}
    for names in ("ip_tables_names", "ip6_tables_names"):
        assert Path("/proc/thread-self/net", names).read_text(encoding="ascii") == ""
    assert subprocess.run(("nft", "list", "tables"), capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize(("name", "kind", "priority"), [(NAT, "nat", -100), (MANGLE, "filter", -150)])
def test_what_cannot_be_shown_is_refused_with_the_tables_name(
    name: TableName, kind: str, priority: int, private_network: None
) -> None:
    for command in (
        f"add table ip {name.value}",
        f"add chain ip {name.value} PREROUTING {{ type {kind} hook prerouting priority {priority}; }}",
        f"add rule ip {name.value} PREROUTING ct state new accept",
    ):
        subprocess.run(("nft", command), check=True)
    with pytest.raises(KernelRefusal, match=f"^the {name.value} table holds rules that iptables-nft cannot read"):
        IptablesTables(Variant.NFT, table=name).read(Family.IPV4)
    assert IptablesTables(Variant.NFT).read(Family.IPV4).chains == {}


def test_protocols_of_tunnels_without_their_names(private_network: None) -> None:
    """A slim image has no /etc/protocols."""
    tool = "iptables-nft -t mangle"
    command = f"mount --bind /dev/null /etc/protocols && {tool} -N {CHAIN} && {tool} -A {CHAIN} -p 4 -j RETURN"
    command += " && iptables-nft-save -t mangle"
    saved = subprocess.run(("unshare", "-m", "sh", "-c", command), capture_output=True, text=True, check=True).stdout
    assert parse_table(saved, MANGLE).chains == {CHAIN: ("-p 4 -j RETURN",)}


class Overlapping(LineReader):
    """A tool that takes its time, and notes who else has not been waited for yet."""

    fed: ClassVar[list[int]] = []
    most_at_once = 0

    def feed(self, text: str) -> bool:
        self.fed.append(self.pid)
        Overlapping.most_at_once = max(self.most_at_once, len(self.fed))
        time.sleep(0.01)
        is_done = super().feed(text)
        self.fed.remove(self.pid)
        return is_done


def test_of_several_writers_one_is_waited_for_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the transaction of another is taken for its own, and a refusal is told with a later write."""
    monkeypatch.setattr(iptables, "LineReader", Overlapping)
    rounds = 10

    def write(name: TableName, *wrong: str) -> list[str]:
        tables, outcomes = IptablesTables(Variant.NFT, table=name), []
        for number in range(rounds):
            lines = [f":{CHAIN} - [0:0]", *[f"-A {CHAIN} -j RETURN"] * number, *(wrong if number % 2 else ())]
            try:
                tables.write(Family.IPV4, lines)
                outcomes.append("written")
            except KernelRefusal as refusal:
                outcomes.append("late" if "after its rules were in force" in str(refusal) else "refused")
        return outcomes

    with new_network(), ThreadPoolExecutor(len(TableName)) as pool:
        # A thread is in the network namespace of the one that starts it.
        right = [pool.submit(write, name) for name in (NAT, MANGLE)]
        wrong = pool.submit(write, TableName.FILTER, f"-A {CHAIN} -j MASQUERADE")
        assert [each.result() for each in right] == [["written"] * rounds] * 2
        assert wrong.result() == [("written", "refused")[number % 2] for number in range(rounds)]
    assert Overlapping.most_at_once == 1
