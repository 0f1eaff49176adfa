"""What concerns us in a legacy table is told apart from everything else that changes there."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from private_network import private_network as new_network

from netpol.compiler.names import is_ours
from netpol.compiler.ruleset import TableName
from netpol.dataplane import legacy_chains as module
from netpol.dataplane.iptables import tool_name
from netpol.dataplane.legacy_chains import concerning
from netpol.dataplane.ownership import Ownership
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

OURS = (
    ":NETPOL-INPUT - [0:0]",
    ":NETPOL-UDP - [0:0]",
    ":NETPOL-TCP - [0:0]",
    "-A NETPOL-INPUT -p udp -j NETPOL-UDP",
    "-A NETPOL-INPUT -p tcp -g NETPOL-TCP",
    "-A NETPOL-UDP -j RETURN",
    "-A NETPOL-TCP -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A NETPOL-TCP -p tcp -m tcp --dport 80 -m comment --comment web/front -j RETURN",
    "-A NETPOL-TCP -j REJECT",
    "-I INPUT 1 -j NETPOL-INPUT",
)
THEIRS = (":A-FIRST - [0:0]", ":THEIRS - [0:0]", "-A THEIRS -p udp -j DROP", "-A INPUT -j THEIRS")
UNCONCERNING = (
    ("-A THEIRS -j DROP", "-A THEIRS -j NFLOG", "-A A-FIRST -j THEIRS"),
    (":AAA - [0:0]", "-A AAA -p tcp -j RETURN"),
    ("-A INPUT -j A-FIRST", "-A INPUT -j DROP"),
    (":INPUT DROP [0:0]", "-P OUTPUT ACCEPT"),
    ("-F A-FIRST", "-D INPUT -j THEIRS"),
    (":NETPOL-mine - [0:0]", "-A NETPOL-mine -j DROP"),
    (":NETPOL-SERVICE-INPUT - [0:0]", "-A NETPOL-SERVICE-INPUT -j RETURN", "-I INPUT 1 -j NETPOL-SERVICE-INPUT"),
    ("-I INPUT 1 -g NETPOL-SERVICE-INPUT", "-A FORWARD -j NETPOL-SERVICE-INPUT"),
    ("-A NETPOL-SERVICE-INPUT -j DROP", "-D INPUT 2"),
)
CONCERNING = {
    "-I INPUT 1 -j ACCEPT": {"INPUT"},
    "-D INPUT 1": {"INPUT", "NETPOL-INPUT"},
    "-I INPUT 1 -j THEIRS": {"INPUT"},
    "-I OUTPUT 1 -j ACCEPT": {"OUTPUT"},
    "-A FORWARD -j ACCEPT": {"FORWARD"},
    "-A INPUT -j NETPOL-INPUT": {"NETPOL-INPUT"},
    "-A THEIRS -j NETPOL-TCP": {"NETPOL-TCP"},
    "-R NETPOL-UDP 1 -j ACCEPT": {"NETPOL-UDP"},
    "-R NETPOL-INPUT 1 -p udp -j NETPOL-TCP": {"NETPOL-INPUT", "NETPOL-UDP", "NETPOL-TCP"},
    "-R NETPOL-INPUT 2 -p tcp -j NETPOL-TCP": {"NETPOL-INPUT"},
    "-R NETPOL-TCP 1 -m conntrack --ctstate ESTABLISHED -j ACCEPT": {"NETPOL-TCP"},
    "-R NETPOL-TCP 2 -p tcp -m tcp --dport 81 -m comment --comment web/front -j RETURN": {"NETPOL-TCP"},
    "-R NETPOL-TCP 3 -j REJECT --reject-with {unreachable}": {"NETPOL-TCP"},
    "-F NETPOL-TCP": {"NETPOL-TCP"},
    ":NETPOL-CUT - [0:0]": {"NETPOL-CUT"},
}
UNREACHABLE = {Family.IPV4: "icmp-host-unreachable", Family.IPV6: "icmp6-addr-unreachable"}


def restore(family: Family, *lines: str, flags: tuple[str, ...] = ("--noflush",)) -> None:
    text = "\n".join(("*filter", *lines, "COMMIT", ""))
    subprocess.run((tool_name(Variant.LEGACY, family, "restore"), *flags), input=text, text=True, check=True)


@pytest.fixture
def table(private_network: None) -> None:
    for family in Family:
        restore(family, *THEIRS)
        restore(family, *OURS)


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def changed(family: Family, *lines: str) -> set[str]:
    before = concerning(family)
    restore(family, *lines)
    after = concerning(family)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.kernel
def test_asking_makes_no_table(private_network: None) -> None:
    for family in Family:
        assert concerning(family) == {}
    for names in ("ip_tables_names", "ip6_tables_names"):
        assert Path("/proc/thread-self/net", names).read_text(encoding="ascii") == ""


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_of_another_table_the_owners_chains_and_its_own_hooks_count(private_network: None, family: Family) -> None:
    proxys = Ownership(lambda name: name == "NETPOL-SERVICE-POSTROUTING", is_ours, tables=(TableName.NAT,))
    lines = ":NETPOL-SERVICE-POSTROUTING - [0:0]", ":THEIRS - [0:0]", "-A POSTROUTING -j NETPOL-SERVICE-POSTROUTING"
    text = "\n".join(("*nat", *lines, "COMMIT", ""))
    subprocess.run((tool_name(Variant.LEGACY, family, "restore"),), input=text, text=True, check=True)
    found = concerning(family, TableName.NAT, proxys)
    assert found.keys() == {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING", "NETPOL-SERVICE-POSTROUTING"}
    assert found["POSTROUTING"] != found["OUTPUT"]
    assert concerning(family, TableName.FILTER, proxys) == {}


@pytest.mark.kernel
def test_several_threads_look_at_once(table: None) -> None:
    expected = {family: concerning(family) for family in Family}
    families = [*Family] * 200
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(concerning, families))
    assert found == [expected[family] for family in families]


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_no_other_table_is_made(table: None, family: Family) -> None:
    assert concerning(family)
    assert Path("/proc/thread-self/net/ip_tables_names").read_text(encoding="ascii") == "filter\n"
    assert Path("/proc/thread-self/net/ip6_tables_names").read_text(encoding="ascii") == "filter\n"


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_what_others_do_to_their_own_does_not_show(table: None, family: Family) -> None:
    for lines in UNCONCERNING:
        assert changed(family, *lines) == set(), lines


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_a_table_written_anew_with_the_same_rules_is_the_same(table: None, family: Family) -> None:
    before = concerning(family)
    saved = subprocess.run(
        (tool_name(Variant.LEGACY, family, "save"), "-c", "-t", "filter"), capture_output=True, text=True, check=True
    ).stdout
    assert len(before) == 6
    subprocess.run((tool_name(Variant.LEGACY, family, "restore"), "-c"), input=saved, text=True, check=True)
    assert concerning(family) == before


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("line", CONCERNING)
def test_whatever_concerns_us_shows(table: None, family: Family, line: str) -> None:
    assert changed(family, line.format(unreachable=UNREACHABLE[family])) == CONCERNING[line]


@pytest.mark.kernel
def test_packets_that_are_counted_do_not_show(table: None) -> None:
    before = concerning(Family.IPV4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"counted", ("127.0.0.1", 9))
    saved = subprocess.run(
        ("iptables-legacy-save", "-c", "-t", "filter"), capture_output=True, text=True, check=True
    ).stdout
    assert "[1:35] -A NETPOL-UDP" in saved
    assert concerning(Family.IPV4) == before


@pytest.mark.kernel
def test_it_is_the_namespace_of_the_thread_that_counts(table: None) -> None:
    found: list[object] = []

    def elsewhere() -> None:
        with new_network():
            found.append(concerning(Family.IPV4))
            restore(Family.IPV4, *OURS[:1])
            found.append(concerning(Family.IPV4).keys())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(20)
    assert found == [{}, {"INPUT", "FORWARD", "OUTPUT", "NETPOL-INPUT"}]
    assert len(concerning(Family.IPV4)) == 6


@pytest.fixture
def small_table(private_network: None) -> None:
    for family in Family:
        restore(family, *OURS)
        concerning(family)


@pytest.mark.kernel
def test_thousands_of_looks_keep_neither_files_nor_memory(small_table: None) -> None:
    """An open file would keep the namespace alive, and whatever a look forgets grows by megabytes."""
    expected = {family: concerning(family) for family in Family}
    gc.collect()
    files, pages = open_files(), resident_pages()
    for _ in range(5_000):
        for family in Family:
            assert concerning(family) == expected[family]
    assert open_files() == files
    assert resident_pages() - pages < 512


@pytest.mark.kernel
def test_without_rights_the_refusal_says_so(table: None) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(KernelRefusal, match=r"^libiptc cannot read the legacy filter table of IPv4"):
            concerning(Family.IPV4)
    finally:
        os.seteuid(0)


def test_a_library_that_is_missing_is_a_refusal_and_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def fail(name: str) -> None:
        tries.append(name)
        raise AttributeError("'NoneType' object has no attribute 'throw_exception'")

    module._binding.cache_clear()
    monkeypatch.setattr(module, "table_exists", lambda *_: True)
    monkeypatch.setattr(importlib, "import_module", fail)
    try:
        for _ in range(2):
            with pytest.raises(KernelRefusal, match=r"^python-iptables cannot be loaded: AttributeError"):
                concerning(Family.IPV6)
    finally:
        module._binding.cache_clear()
    assert tries == ["iptc.ip6tc"]
