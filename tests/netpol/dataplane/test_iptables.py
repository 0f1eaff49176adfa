"""Both variants' tools print our rules as we write them, and say in one line what they refuse."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rule_forms
from rule_forms import ADDRESS_SET, ANSWER_SET, CHAIN, LIST_SET, PORT_SET, SOURCE_SET, printed

from netpol.compiler.ruleset import FILTER_HOOKS, Hook
from netpol.dataplane import iptables
from netpol.dataplane.iptables import IptablesTables, tool_name
from netpol.dataplane.kernel import HookRule
from netpol.dataplane.line_reader import LineReader
from netpol.dataplane.readback import parse_table
from netpol.dataplane.render import render_rule
from netpol.dataplane.tool import Outcome
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

EACH_TABLE = [
    pytest.param(variant, family, id=f"{variant.value}-{family.value}") for variant in Variant for family in Family
]
HOOK_RULES = ("-A INPUT -j NETPOL-INPUT", "-A FORWARD -j NETPOL-FORWARD", "-A OUTPUT -j NETPOL-OUTPUT")


def make_sets() -> None:
    for family in Family:
        inet = "inet" if family is Family.IPV4 else "inet6"
        for name, kind in (
            (ADDRESS_SET[family], "hash:ip"),
            (PORT_SET[family], "hash:ip,port"),
            (ANSWER_SET[family], "hash:ip,port,ip"),
            (SOURCE_SET[family], "hash:ip,port,net"),
        ):
            subprocess.run(("ipset", "create", name, kind, "family", inet), check=True)
    subprocess.run(("ipset", "create", LIST_SET, "list:set"), check=True)


@pytest.mark.kernel
@pytest.mark.parametrize(("variant", "family"), EACH_TABLE)
def test_every_form_is_printed_as_it_was_rendered(variant: Variant, family: Family, private_network: None) -> None:
    """But for `Balanced`: a kernel without IPVS refuses it, and a guest that has it tries it (tests/vm)."""
    make_sets()
    tables = IptablesTables(variant)
    rules = tuple(render_rule(rule, family) for rule, _ in rule_forms.forms(family))
    root = "NETPOL-FORWARD"
    tables.write(family, [f":{root} - [0:0]", f":{CHAIN} - [0:0]", *(f"-A {root} {rule}" for rule in rules)])
    table = tables.read(family)
    assert table.chains == {root: rules, CHAIN: ()}
    assert tables.save(family).count("\n-A ") == len(rules)
    raw = [line.partition(" ")[2].partition(" ")[2] for line in tables.save(family).split("\n") if "-A" in line[:2]]
    assert raw == list(map(printed, rules)), "the tool's own text is normal already"


@pytest.mark.kernel
@pytest.mark.parametrize(("variant", "family"), EACH_TABLE)
def test_protocols_without_their_names(variant: Variant, family: Family, private_network: None, tmp_path: Path) -> None:
    make_sets()
    tables = IptablesTables(variant)
    protocol = "icmp" if family is Family.IPV4 else "ipv6-icmp"
    tunnel = "4" if family is Family.IPV4 else "41"
    rules = tuple(f"-p {name} -j DROP" for name in ("tcp", "udp", "sctp", protocol, tunnel))
    tables.write(family, [":NETPOL-INPUT - [0:0]", *(f"-A NETPOL-INPUT {rule}" for rule in rules)])
    # A slim image has no /etc/protocols.
    command = f"mount --bind /dev/null /etc/protocols && exec {tool_name(variant, family, 'save')} -t filter"
    saved = subprocess.run(("unshare", "-m", "sh", "-c", command), capture_output=True, text=True, check=True).stdout
    assert parse_table(saved).chains == {"NETPOL-INPUT": rules}


@pytest.mark.kernel
@pytest.mark.parametrize(("variant", "family"), EACH_TABLE)
@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["-A NETPOL-INPUT -m set --match-set NETPOL-S4-ZZZZZZZZZZZZZZZZ src -j DROP"],
            r"Set NETPOL-S4-ZZZZZZZZZZZZZZZZ doesn't exist\. \(in '-A NETPOL-INPUT -m set .* -j DROP'\)$",
        ),
        (["-A NETPOL-INPUT -j NETPOL-NONE"], "NETPOL-NONE"),
        ([":NETPOL-OUTPUT - [0:0]", "-A NETPOL-ABSENT -j DROP"], r"\(in '-A NETPOL-ABSENT -j DROP'\)$"),
        (["-X NETPOL-ABSENT"], r"\(in '-X NETPOL-ABSENT'\)$"),
        (["-D INPUT -j NETPOL-INPUT"], r"\(in '-D INPUT -j NETPOL-INPUT'\)$"),
        (
            [f"-A NETPOL-INPUT -p tcp -m multiport --dports {','.join(map(str, range(16)))} -j DROP"],
            "too many ports specified",
        ),
    ],
)
def test_a_refusal_names_the_rule_and_changes_nothing(
    variant: Variant,
    family: Family,
    lines: list[str],
    says: str,
    private_network: None,
) -> None:
    tables = IptablesTables(variant)
    tables.write(family, [":NETPOL-INPUT - [0:0]", "-A NETPOL-INPUT -j RETURN"])
    before = tables.read(family)
    refused = rf"^{tool_name(variant, family, 'restore')} refused the rules: .*{says}"
    with pytest.raises(KernelRefusal, match=refused) as refusal:
        tables.write(family, ["-A NETPOL-INPUT -j DROP", *lines])
    assert "\n" not in str(refusal.value)
    assert tables.read(family) == before


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_reading_makes_no_table(family: Family, private_network: None) -> None:
    for variant in Variant:
        assert IptablesTables(variant).read(family).chains == {}
    names = Path(
        "/proc/thread-self/net/ip_tables_names" if family is Family.IPV4 else "/proc/thread-self/net/ip6_tables_names"
    )
    assert names.read_text(encoding="utf-8") == ""
    assert subprocess.run(("nft", "list", "tables"), capture_output=True, check=True).stdout == b""


@pytest.mark.kernel
@pytest.mark.parametrize("variant", Variant)
def test_without_rights_the_refusal_says_so(variant: Variant, private_network: None) -> None:
    IptablesTables(variant).write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    tools = tool_name(variant, Family.IPV4, "")
    os.setresuid(65534, 65534, 0)  # the tools refuse to run for one user with the rights of another
    try:
        with pytest.raises(KernelRefusal, match=rf"^{tools}save cannot read the filter table: .*Permission denied"):
            IptablesTables(variant).read(Family.IPV4)
        with pytest.raises(KernelRefusal, match=rf"^{tools}restore refused the rules: .*Permission denied"):
            IptablesTables(variant).write(Family.IPV4, ["-F NETPOL-INPUT"])
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.kernel
def test_rules_of_nft_that_iptables_cannot_show_are_refused_with_a_mend(private_network: None) -> None:
    for command in (
        "add table ip filter",
        "add chain ip filter INPUT { type filter hook input priority 0; }",
        "add rule ip filter INPUT ct state new accept",
    ):
        subprocess.run(("nft", command), check=True)
    with pytest.raises(KernelRefusal, match="with nft"):
        IptablesTables(Variant.NFT).read(Family.IPV4)
    assert IptablesTables(Variant.NFT).read(Family.IPV6).chains == {}


@pytest.mark.kernel
@pytest.mark.parametrize(("variant", "family"), EACH_TABLE)
def test_writers_at_the_same_moment_lose_nothing(variant: Variant, family: Family, private_network: None) -> None:
    tables = IptablesTables(variant)
    tool = tool_name(variant, family, "restore").removesuffix("-restore")
    tables.write(family, [*(f":NETPOL-{hook.value} - [0:0]" for hook in FILTER_HOOKS), *HOOK_RULES])
    over = threading.Event()
    kept: dict[int, list[int]] = {}
    rounds: dict[int, int] = {}

    def others(writer: int) -> None:
        """Adds a rule, keeps every third and deletes the others, with plain `iptables`, as others do."""
        kept[writer], count = [], 0
        while not over.is_set():
            text = ("-p", "udp", "--dport", str(writer * 10000 + count + 1), "-j", "ACCEPT")
            subprocess.run((tool, "-w", "10", "-I", "INPUT", *text), check=True, stderr=subprocess.DEVNULL)
            if count % 3 == 0:
                kept[writer].append(writer * 10000 + count + 1)
            else:
                subprocess.run((tool, "-w", "10", "-D", "INPUT", *text), check=True, stderr=subprocess.DEVNULL)
            count += 1
        rounds[writer] = count

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(others, writer) for writer in range(1, 5)]
        until = time.monotonic() + 2
        ours = 0
        try:
            while time.monotonic() < until:
                chain = f"NETPOL-PI-{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[ours % 26] * 16}"
                rules = [f"-A {chain} -s 10.{ours % 256}.0.0/16 -j RETURN" for _ in range(3)]
                if family is Family.IPV6:
                    rules = [f"-A {chain} -s fd00:{ours:x}::/32 -j RETURN" for _ in range(3)]
                tables.write(
                    family,
                    [f":{chain} - [0:0]", *rules, "-D FORWARD -j NETPOL-FORWARD", "-I FORWARD 1 -j NETPOL-FORWARD"],
                )
                ours += 1
        finally:
            over.set()
        for work in working:
            work.result()
    saved = tables.save(family)
    for port in (port for ports in kept.values() for port in ports):
        assert f"--dport {port} -j ACCEPT" in saved
    assert saved.count("-j ACCEPT") == sum(len(ports) for ports in kept.values())
    table = tables.read(family)
    assert len(table.chains) == len(FILTER_HOOKS) + min(ours, 26)
    assert all(len(rules) == 3 for name, rules in table.chains.items() if name.startswith("NETPOL-PI-"))
    assert table.hooks[Hook.FORWARD] == (HookRule(1, "-j NETPOL-FORWARD"),)
    assert ours > 3
    assert all(count > 3 for count in rounds.values())


def test_a_kernel_without_legacy_tables_has_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr("netpol.dataplane.iptables.run_tool", lambda *_, **__: pytest.fail("a program was started"))
    assert IptablesTables(Variant.LEGACY).read(Family.IPV6).chains == {}


def test_who_may_not_look_leaves_the_refusal_to_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", forbidden)
    monkeypatch.setattr("netpol.dataplane.iptables.run_tool", lambda *_, **__: Outcome(4, "", "Permission denied"))
    with pytest.raises(KernelRefusal, match=r"^iptables-legacy-save cannot read the filter table: Permission denied$"):
        IptablesTables(Variant.LEGACY).read(Family.IPV4)


@pytest.mark.kernel
@pytest.mark.parametrize("variant", Variant)
def test_another_who_holds_the_lock_is_told_in_a_line(
    variant: Variant, private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nft variant takes no lock, and writes all the same."""
    monkeypatch.setattr(iptables, "LOCK_SECONDS", 1)
    tables = IptablesTables(variant)
    with Path("/run/xtables.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if variant is Variant.LEGACY:
            with pytest.raises(KernelRefusal, match=r"^iptables-legacy-restore refused the rules: .*lock") as raised:
                tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
            assert "\n" not in str(raised.value)
        else:
            tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    assert tables.read(Family.IPV4).chains == {"NETPOL-INPUT": ()}


class Killed(LineReader):
    """A tool that is killed before it has its COMMIT."""

    def feed(self, text: str) -> bool:
        os.kill(self.pid, signal.SIGKILL)
        return super().feed(text)


@pytest.mark.kernel
def test_a_killed_tool_has_written_nothing_and_is_told_in_a_line(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = IptablesTables(Variant.NFT)
    with monkeypatch.context() as deadly:
        deadly.setattr(iptables, "LineReader", Killed)
        with pytest.raises(KernelRefusal, match=r"^iptables-nft-restore refused the rules: it was killed by signal 9$"):
            tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    assert tables.read(Family.IPV4).chains == {}


class Stuck(LineReader):
    """A tool whose end the kernel puts off until it is told, and which then has failed."""

    let_go = threading.Event()
    ended = threading.Event()

    def leave(self, when_ended: Callable[[Outcome], None]) -> None:
        def end() -> None:
            assert self.let_go.wait(20)
            self.end()
            when_ended(Outcome(-9, "", ""))
            self.ended.set()

        threading.Thread(target=end).start()


@pytest.mark.kernel
def test_rules_are_in_force_before_the_tool_ends_and_its_failure_is_told_afterwards(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iptables, "LineReader", Stuck)
    tables = IptablesTables(Variant.NFT)
    tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]"])
    assert tables.read(Family.IPV4).chains == {"NETPOL-INPUT": ()}
    Stuck.let_go.set()
    assert Stuck.ended.wait(20)
    failed_late = r"^iptables-nft-restore failed after its rules were in force: it was killed by signal 9$"
    with pytest.raises(KernelRefusal, match=failed_late):
        tables.write(Family.IPV4, ["-X NETPOL-INPUT"])
    tables.write(Family.IPV4, ["-X NETPOL-INPUT"])
    assert tables.read(Family.IPV4).chains == {}
    assert Stuck.ended.wait(20)


def test_nothing_to_write_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IptablesTables, "_restore", lambda *_: pytest.fail("a program was started"))
    IptablesTables(Variant.NFT).write(Family.IPV4, [])


@pytest.mark.parametrize(
    ("variant", "failures", "starts"), [(Variant.LEGACY, 2, 3), (Variant.LEGACY, 9, 3), (Variant.NFT, 9, 1)]
)
def test_a_commit_that_lost_a_race_is_tried_again(
    variant: Variant,
    failures: int,
    starts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def restore(_: object, arguments: object, text: str) -> Outcome:
        started.append(text)
        return Outcome(0, "", "") if len(started) > failures else Outcome(1, "", "iptables-restore: line 4 failed\n")

    monkeypatch.setattr(IptablesTables, "_restore", restore)
    tables = IptablesTables(variant)
    if failures < starts:
        tables.write(Family.IPV4, ["-A A -j DROP", "-A B -j DROP"])
    else:
        with pytest.raises(KernelRefusal, match="refused the rules: line 4 failed"):
            tables.write(Family.IPV4, ["-A A -j DROP", "-A B -j DROP"])
    assert started == ["*filter\n-A A -j DROP\n-A B -j DROP\nCOMMIT\n"] * starts


@pytest.mark.parametrize(
    ("complaint", "says"),
    [
        (
            (
                "iptables-restore v1.8.9 (legacy): Set S doesn't exist.\n\nError occurred at line: 3\n"
                "Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n"
            ),
            "Set S doesn't exist. (in '-A B -j DROP')",
        ),
        ("iptables-restore: line 4 failed\n", "line 4 failed"),
        (
            "iptables-nft-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).\n",
            "line 2 failed: Bad rule (does a matching rule exist in that chain?). (in '-A A -j DROP')",
        ),
        (
            "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: CHAIN_DEL failed (Device or resource busy): chain B\n",
            "line 2: CHAIN_DEL failed (Device or resource busy): chain B (in '-A A -j DROP')",
        ),
        (
            "# Warning: iptables-legacy tables present, use iptables-legacy-restore to see them\nsomething else\n",
            "something else",
        ),
        (
            "Another app is currently holding the xtables lock. Stopped waiting after 10s.\n",
            "Another app is currently holding the xtables lock",
        ),
        (
            "iptables-nft-restore: line 3 failed: Cannot allocate memory.\n",
            "line 3 failed: Cannot allocate memory. (in '-A B -j DROP')",
        ),
        ("", "exit status 4"),
    ],
)
def test_one_line_of_the_complaint(monkeypatch: pytest.MonkeyPatch, complaint: str, says: str) -> None:
    monkeypatch.setattr("netpol.dataplane.iptables.run_tool", lambda *_, **__: Outcome(4, "", complaint))
    with pytest.raises(KernelRefusal) as refusal:
        IptablesTables(Variant.LEGACY).write(Family.IPV4, ["-A A -j DROP", "-A B -j DROP"])
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
