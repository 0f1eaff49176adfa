"""The size of a legacy table is another after any rule more or less, and asking makes no table."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from netpol.dataplane.iptables import tool_name
from netpol.dataplane.legacy_table import filter_size, table_exists
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel


def run(family: Family, *arguments: str) -> None:
    tool = tool_name(Variant.LEGACY, family, "restore").removesuffix("-restore")
    subprocess.run((tool, *arguments), check=True)


def test_asking_makes_no_table(private_network: None) -> None:
    for family in Family:
        assert filter_size(family) is None
        assert not table_exists(family)
    assert Path("/proc/thread-self/net/ip_tables_names").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("family", Family)
def test_every_rule_and_chain_counts(family: Family, private_network: None) -> None:
    run(family, "-P", "INPUT", "ACCEPT")
    sizes = [filter_size(family)]
    for arguments in (("-N", "A"), ("-A", "INPUT", "-j", "A"), ("-A", "A", "-p", "tcp"), ("-A", "A", "-p", "tcp")):
        run(family, *arguments)
        sizes.append(filter_size(family))
    assert None not in sizes
    assert len(set(sizes)) == len(sizes)
    run(family, "-D", "A", "1")
    assert filter_size(family) == sizes[-2]


def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    run(Family.IPV4, "-P", "INPUT", "ACCEPT")
    os.seteuid(65534)
    try:
        with pytest.raises(KernelRefusal, match=r"^the legacy filter table of IPv4 cannot be asked for: Operation not"):
            filter_size(Family.IPV4)
    finally:
        os.seteuid(0)
