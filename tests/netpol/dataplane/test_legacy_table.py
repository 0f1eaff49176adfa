"""The size of a legacy table is another after any rule more or less, and asking makes no table."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from netpol.compiler.ruleset import TableName
from netpol.dataplane.iptables import tool_name
from netpol.dataplane.legacy_table import table_exists, table_size
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel


def run(family: Family, *arguments: str) -> None:
    tool = tool_name(Variant.LEGACY, family, "restore").removesuffix("-restore")
    subprocess.run((tool, *arguments), check=True)


def test_asking_makes_no_table(private_network: None) -> None:
    for family in Family:
        assert table_size(family) is None
        assert not table_exists(family)
    assert Path("/proc/thread-self/net/ip_tables_names").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("family", Family)
def test_every_rule_and_chain_counts(family: Family, private_network: None) -> None:
    run(family, "-P", "INPUT", "ACCEPT")
    sizes = [table_size(family)]
    for arguments in (("-N", "A"), ("-A", "INPUT", "-j", "A"), ("-A", "A", "-p", "tcp"), ("-A", "A", "-p", "tcp")):
        run(family, *arguments)
        sizes.append(table_size(family))
    assert None not in sizes
    assert len(set(sizes)) == len(sizes)
    run(family, "-D", "A", "1")
    assert table_size(family) == sizes[-2]


def test_each_table_has_a_size_of_its_own(private_network: None) -> None:
    run(Family.IPV4, "-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
    nat = table_size(Family.IPV4, TableName.NAT)
    assert nat is not None
    for _ in range(2):
        run(Family.IPV4, "-t", "mangle", "-A", "OUTPUT", "-j", "ACCEPT")
    assert table_size(Family.IPV4) is None
    assert nat not in {None, table_size(Family.IPV4, TableName.MANGLE)}


def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    run(Family.IPV4, "-P", "INPUT", "ACCEPT")
    os.seteuid(65534)
    try:
        with pytest.raises(KernelRefusal, match=r"^the legacy filter table of IPv4 cannot be asked for: Operation not"):
            table_size(Family.IPV4)
    finally:
        os.seteuid(0)
