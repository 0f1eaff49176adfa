"""What others wrote is kept as they wrote it; lines that would change it are no lines of ours."""

from __future__ import annotations

from itertools import pairwise

import pytest

from netpol.compiler.ruleset import TABLE_HOOKS, Hook, TableName
from netpol.dataplane.memory import MemoryKernel
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

ODD = '-m weird --what "a \\"b" -j SOMEWHERE'


def test_others_write_what_they_like() -> None:
    tables = MemoryKernel().tables
    tables.plant(Family.IPV4, "THEIRS", ODD)
    tables.plant(Family.IPV4, "INPUT", ODD, "-j THEIRS")
    tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]", "-I INPUT 1 -j NETPOL-INPUT"])
    assert tables.rules(Family.IPV4, "INPUT") == ("-j NETPOL-INPUT", ODD, "-j THEIRS")
    assert tables.rules(Family.IPV4, "THEIRS") == (ODD,)
    assert ":INPUT ACCEPT [0:0]\n" in tables.save(Family.IPV4)
    assert f"-A THEIRS {ODD}\n" in tables.save(Family.IPV4)


@pytest.mark.parametrize("line", [":INPUT DROP [0:0]", ":INPUT - [0:0]", ":NETPOL-INPUT ACCEPT [0:0]", ":NETPOL-INPUT"])
def test_only_chains_of_our_own_are_declared(line: str) -> None:
    with pytest.raises(KernelRefusal, match="only chains of our own"):
        MemoryKernel().tables.write(Family.IPV4, [line])


@pytest.mark.parametrize("table", TableName)
def test_each_table_has_its_own_hooks(table: TableName) -> None:
    memory = MemoryKernel()
    tables = {TableName.FILTER: memory.tables, TableName.NAT: memory.nat, TableName.MANGLE: memory.mangle}[table]
    assert tables.save(Family.IPV4).startswith(f"*{table.value}\n")
    for hook in Hook:
        if hook in TABLE_HOOKS[table]:
            tables.write(Family.IPV4, [f"-A {hook.value} -j RETURN"])
        else:
            with pytest.raises(KernelRefusal, match=f"there is no chain '{hook.value}'"):
                tables.write(Family.IPV4, [f"-A {hook.value} -j RETURN"])


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(
        KernelRefusal, match=r"^the rules were refused: there is no chain 'NETPOL-X' \(in '-F NETPOL-X'\)$"
    ):
        MemoryKernel().tables.write(Family.IPV4, ["-F NETPOL-X"])


def test_a_long_way_through_chains_is_no_loop() -> None:
    tables = MemoryKernel().tables
    chains = [f"C{number}" for number in range(100)]
    jumps = [f"-A {here} -j {there}" for here, there in pairwise(chains)]
    tables.write(Family.IPV4, [*(f":{name} - [0:0]" for name in chains), *jumps, *jumps, "-A INPUT -j C0"])
    with pytest.raises(KernelRefusal, match="leads back to itself"):
        tables.write(Family.IPV4, ["-A C99 -g C50"])
