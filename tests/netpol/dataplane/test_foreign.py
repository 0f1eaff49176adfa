"""What others do to our chains is noticed; what they do to theirs, and what we do, is not."""

from __future__ import annotations

import errno
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from netpol.compiler.ruleset import TableName
from netpol.dataplane import foreign
from netpol.dataplane.foreign import LEGACY_SECONDS, ForeignChanges
from netpol.dataplane.iptables import IptablesTables, tool_name
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant
from proxy.ownership import SERVICE_PROXY

pytestmark = pytest.mark.kernel

SECONDS = 20.0
QUIET_SECONDS = 3 * LEGACY_SECONDS
"""Longer than it takes to notice anything."""

OURS = (
    ":NETPOL-INPUT - [0:0]",
    ":NETPOL-TCP - [0:0]",
    "-A NETPOL-INPUT -p tcp -j NETPOL-TCP",
    "-A NETPOL-TCP -j RETURN",
    "-I INPUT 1 -j NETPOL-INPUT",
)
THEIRS = (":KUBE-SERVICES - [0:0]", "-A KUBE-SERVICES -p udp -j DROP", "-A INPUT -j KUBE-SERVICES")


@pytest.fixture(params=Variant, ids=lambda variant: variant.value)
def tables(request: pytest.FixtureRequest, private_network: None) -> IptablesTables:
    """Our rules and another's are there."""
    assert isinstance(request.param, Variant)
    tables = IptablesTables(request.param)
    for family in Family:
        restore(tables.variant, family, *THEIRS)
        tables.write(family, OURS)
    return tables


@pytest.fixture
def changes(tables: IptablesTables, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForeignChanges]:
    """Whoever asks for changes, after a first look; where nothing is told it looks again at every turn."""
    monkeypatch.setattr(foreign, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(foreign, "LOOK_SHARE", 1.0)
    with ForeignChanges(tables.variant, tables) as changes:
        assert changes.wait(0) is None
        yield changes


def restore(variant: Variant, family: Family, *lines: str, flags: tuple[str, ...] = ("--noflush",)) -> None:
    text = "\n".join(("*filter", *lines, "COMMIT", ""))
    subprocess.run((tool_name(variant, family, "restore"), *flags), input=text, text=True, check=True)


def run(variant: Variant, family: Family, command: str) -> None:
    tool = tool_name(variant, family, "restore").removesuffix("-restore")
    subprocess.run((tool, *shlex.split(command)), check=True)


DAMAGE = {
    "a flush of everything": ["-F"],
    "a rule before our hook": ["-I INPUT 1 -j ACCEPT"],
    "our hook deleted": ["-D INPUT -j NETPOL-INPUT"],
    "a flush of the hook": ["-F INPUT"],
    "a flush of a chain of ours": ["-F NETPOL-TCP"],
    "a rule more in a chain of ours": ["-I NETPOL-TCP -j ACCEPT"],
    "a rule less in a chain of ours": ["-D NETPOL-TCP 1"],
    "a rule replaced by one of its length": ["-R NETPOL-TCP 1 -j ACCEPT"],
    "firewalld-style": ["-F", "-X"],
}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("commands", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_in_either_family(
    tables: IptablesTables, changes: ForeignChanges, family: Family, commands: list[str]
) -> None:
    for command in commands:
        run(tables.variant, family, command)
    found = changes.wait(SECONDS)
    assert found is not None
    assert f"IPv{family.value}" in found
    assert changes.wait(0 if tables.variant is Variant.NFT else QUIET_SECONDS) is None


def test_a_restore_of_everything_is_noticed(tables: IptablesTables, changes: ForeignChanges) -> None:
    restore(tables.variant, Family.IPV4, "-A INPUT -j ACCEPT", flags=())
    assert changes.wait(SECONDS) is not None


def test_a_flush_of_the_ruleset_is_noticed(private_network: None) -> None:
    tables = IptablesTables(Variant.NFT)
    tables.write(Family.IPV6, OURS)
    with ForeignChanges(Variant.NFT, tables) as changes:
        subprocess.run(("nft", "flush", "ruleset"), check=True)
        assert changes.wait(SECONDS) is not None


def test_a_table_deleted_is_noticed(private_network: None) -> None:
    tables = IptablesTables(Variant.NFT)
    tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    with ForeignChanges(Variant.NFT, tables) as changes:
        subprocess.run(("nft", "add", "table", "ip", "other"), check=True)
        subprocess.run(("nft", "delete", "table", "ip", "other"), check=True)
        assert changes.wait(0) is None
        subprocess.run(("nft", "delete", "table", "ip", "filter"), check=True)
        assert changes.wait(SECONDS) is not None


def test_it_is_noticed_while_somebody_waits(tables: IptablesTables, changes: ForeignChanges) -> None:
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(changes.wait(SECONDS)))
    waiting.start()
    run(tables.variant, Family.IPV4, "-F NETPOL-TCP")
    waiting.join(SECONDS)
    assert found[0] is not None


def test_our_own_writes_are_not_others(tables: IptablesTables, changes: ForeignChanges) -> None:
    for number in range(5):
        for family in Family:
            tables.write(family, [":NETPOL-TCP - [0:0]", *["-A NETPOL-TCP -j RETURN"] * number])
            tables.write(family, ["-D INPUT -j NETPOL-INPUT", "-I INPUT 1 -j NETPOL-INPUT"])
    assert changes.wait(QUIET_SECONDS) is None
    run(tables.variant, Family.IPV4, "-F NETPOL-TCP")
    assert changes.wait(SECONDS) is not None


def test_others_who_rewrite_their_own_chains_wake_nobody(tables: IptablesTables, changes: ForeignChanges) -> None:
    """As kube-proxy does."""
    names = [f"KUBE-SVC-{letter * 16}" for letter in "ABCDEFGH"]
    for number in range(5):
        rules = [f"-A {name} -p tcp --dport {1 + number} -j RETURN" for name in names for _ in range(100)]
        comment = "-A KUBE-SERVICES -m comment --comment NETPOL-INPUT -j DROP"
        restore(tables.variant, Family.IPV4, *(f":{name} - [0:0]" for name in names), *rules, comment)
        assert changes.wait(0) is None
    restore(tables.variant, Family.IPV4, *(line for name in names for line in (f"-F {name}", f"-X {name}")))
    run(tables.variant, Family.IPV4, "-t nat -A PREROUTING -j RETURN")
    run(tables.variant, Family.IPV4, "-t nat -A OUTPUT -j RETURN")
    assert changes.wait(0 if tables.variant is Variant.NFT else QUIET_SECONDS) is None


PROXYS = (":NETPOL-SERVICE-INPUT - [0:0]", "-A NETPOL-SERVICE-INPUT -p tcp -j RETURN")


def test_the_service_proxy_wakes_nobody(tables: IptablesTables, changes: ForeignChanges) -> None:
    """Nor is it looked at again: neither of both pushes the other from the first place."""
    for family in Family:
        restore(tables.variant, family, *PROXYS, "-I INPUT 1 -j NETPOL-SERVICE-INPUT")
        restore(tables.variant, family, *PROXYS, "-A NETPOL-SERVICE-INPUT -j RETURN")
        restore(tables.variant, family, "-D INPUT -j NETPOL-SERVICE-INPUT", "-I INPUT 1 -j NETPOL-SERVICE-INPUT")
    assert changes.wait(0 if tables.variant is Variant.NFT else QUIET_SECONDS) is None
    for family in Family:
        restore(tables.variant, family, "-D INPUT -j NETPOL-SERVICE-INPUT", "-F NETPOL-SERVICE-INPUT")
        restore(tables.variant, family, "-X NETPOL-SERVICE-INPUT")
    assert changes.wait(0 if tables.variant is Variant.NFT else QUIET_SECONDS) is None
    run(tables.variant, Family.IPV4, "-I INPUT 1 -j ACCEPT")
    assert changes.wait(SECONDS) is not None


# --- for the service proxy, in its tables


def restore_table(variant: Variant, table: TableName, *lines: str) -> None:
    text = "\n".join((f"*{table.value}", *lines, "COMMIT", ""))
    subprocess.run((tool_name(variant, Family.IPV4, "restore"), "--noflush"), input=text, text=True, check=True)


HOOKS = {TableName.FILTER: "INPUT", TableName.NAT: "POSTROUTING", TableName.MANGLE: "PREROUTING"}


def proxys_rules(table: TableName) -> tuple[str, ...]:
    chain = f"NETPOL-SERVICE-{HOOKS[table]}"
    return f":{chain} - [0:0]", f"-A {chain} -p tcp -j RETURN", f"-I {HOOKS[table]} 1 -j {chain}"


@pytest.fixture(params=Variant, ids=lambda variant: variant.value)
def variant(request: pytest.FixtureRequest, private_network: None) -> Variant:
    """Rules of the proxy are in each of its tables, and those of the firewall before them."""
    assert isinstance(request.param, Variant)
    for table in TableName:
        restore_table(request.param, table, *proxys_rules(table))
    restore(request.param, Family.IPV4, *OURS)
    return request.param


@pytest.fixture
def proxys_changes(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForeignChanges]:
    """Whoever asks for changes to what is the proxy's, after a first look."""
    monkeypatch.setattr(foreign, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(foreign, "LOOK_SHARE", 1.0)
    with ForeignChanges(variant, IptablesTables(variant, ownership=SERVICE_PROXY), SERVICE_PROXY) as changes:
        assert changes.wait(0) is None
        yield changes


@pytest.mark.parametrize("table", TableName)
def test_damage_is_noticed_in_every_table_of_the_owner(
    variant: Variant, proxys_changes: ForeignChanges, table: TableName
) -> None:
    hook = HOOKS[table]
    for damage in (f"-F NETPOL-SERVICE-{hook}", f"-I {hook} 1 -j RETURN", f"-F {hook}"):
        run(variant, Family.IPV4, f"-t {table.value} {damage}")
        found = proxys_changes.wait(SECONDS)
        assert found is not None
        assert f"{hook} of the {table.value} table of IPv4 was " in found


def test_neither_of_two_neighbours_is_alarmed_by_the_other(variant: Variant, proxys_changes: ForeignChanges) -> None:
    with ForeignChanges(variant, IptablesTables(variant)) as changes:
        assert changes.wait(0) is None
        for table in TableName:
            restore_table(variant, table, *proxys_rules(table)[:1], f"-A NETPOL-SERVICE-{HOOKS[table]} -j RETURN")
        assert changes.wait(0 if variant is Variant.NFT else QUIET_SECONDS) is None
        # The proxy itself was told that they are another's.
        assert proxys_changes.wait(SECONDS) is not None
        restore(variant, Family.IPV4, "-D INPUT -j NETPOL-INPUT", *OURS, "-F NETPOL-TCP")
        assert proxys_changes.wait(0 if variant is Variant.NFT else QUIET_SECONDS) is None
        assert changes.wait(SECONDS) is not None


def test_tables_of_nft_with_our_names_are_others(private_network: None) -> None:
    with ForeignChanges(Variant.NFT, IptablesTables(Variant.NFT)) as changes:
        subprocess.run(("nft", "add", "table", "inet", "filter"), check=True)
        subprocess.run(("nft", "add chain inet filter INPUT { type filter hook input priority 0; }"), check=True)
        assert changes.wait(0) is None


def test_before_the_first_look_any_change_of_length_is_told(private_network: None) -> None:
    tables = IptablesTables(Variant.LEGACY)
    tables.write(Family.IPV6, OURS)
    with ForeignChanges(Variant.LEGACY, tables) as changes:
        run(Variant.LEGACY, Family.IPV6, "-A OUTPUT -j ACCEPT")
        assert changes.wait(0) == "the filter table of IPv6 has another size"
        assert changes.wait(0) is None


def test_a_table_is_looked_into_now_and_then_and_less_often_the_longer_that_takes(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(family: Family, *_: object) -> dict[str, bytes]:
        looks.append(family)
        return {}

    looks: list[Family] = []
    now, spent = [100.0], iter(range(0, 1_000, 6))
    monkeypatch.setattr(foreign, "concerning", note)
    clocks = SimpleNamespace(monotonic=lambda: now[0], thread_time=lambda: next(spent) / 100)
    monkeypatch.setattr(foreign, "time", clocks)
    watch = foreign._LegacyWatch(IptablesTables(Variant.LEGACY))
    for now[0], looked in ((109.9, 0), (110.1, 1), (122.0, 1), (122.2, 2), (134.1, 2), (134.3, 3)):
        watch.look()
        assert len(looks) == looked * len(Family)


def test_without_the_library_the_size_is_what_is_told(private_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: Family, *_: object) -> None:
        looks.append(family)
        raise KernelRefusal("no libiptc")

    looks: list[Family] = []
    monkeypatch.setattr(foreign, "concerning", refuse)
    tables = IptablesTables(Variant.LEGACY)
    tables.write(Family.IPV4, OURS)
    with ForeignChanges(Variant.LEGACY, tables) as changes:
        assert changes.wait(2 * LEGACY_SECONDS) is None
        assert looks == [], "an agent that starts has more to do than to load the library"
        run(Variant.LEGACY, Family.IPV4, "-A OUTPUT -j ACCEPT")
        found = changes.wait(SECONDS)
    assert looks == [Family.IPV4]
    assert found == "the filter table of IPv4 has another size, and that is all that is known: no libiptc"


def test_nothing_is_noticed_where_nothing_happens_and_waiting_ends(changes: ForeignChanges) -> None:
    started = time.monotonic()
    assert changes.wait(QUIET_SECONDS) is None
    assert time.monotonic() - started >= QUIET_SECONDS


def test_who_waits_is_let_go(changes: ForeignChanges) -> None:
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(changes.wait(SECONDS)))
    started = time.monotonic()
    waiting.start()
    changes.stop()
    waiting.join(SECONDS)
    assert found == [None]
    assert changes.wait(SECONDS) is None
    assert time.monotonic() - started < SECONDS


def test_what_the_kernel_could_not_tell_is_a_reason_to_look(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "enlarge_receive_buffer", lambda kernel: kernel.setsockopt(1, 8, 4096))
    tables = IptablesTables(Variant.NFT)
    with ForeignChanges(Variant.NFT, tables) as changes:
        restore(Variant.NFT, Family.IPV4, ":theirs - [0:0]", *["-A theirs -p tcp --dport 80 -j DROP"] * 500)
        found = changes.wait(SECONDS)
    assert found is not None
    assert "more was changed" in found


def refused(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_without_a_listener_the_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "enlarge_receive_buffer", refused)
    with pytest.raises(KernelRefusal, match=r"^changes of others to nf_tables are not told: Operation not permitted$"):
        ForeignChanges(Variant.NFT, IptablesTables(Variant.NFT))
