"""The host's rules decide; a host with one variant's tools works with that one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from netpol.dataplane import variant as module
from netpol.dataplane.ownership import FIREWALL
from netpol.dataplane.tool import Outcome, ToolMissing
from netpol.dataplane.variant import detect, holds, variants_present
from netpol.errors import KernelRefusal
from netpol.settings import Variant

NFT, LEGACY = Variant.NFT, Variant.LEGACY
PLAIN_NFT, PLAIN_LEGACY = "iptables v1.8.9 (nf_tables)\n", "iptables v1.8.9 (legacy)\n"
HINT = "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n"
CANARY = "*mangle\n:PREROUTING ACCEPT [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
OURS = "*filter\n:NETPOL-INPUT - [0:0]\n-A INPUT -j NETPOL-INPUT\n-A NETPOL-INPUT -j DROP\nCOMMIT\n"
PROXYS = OURS.replace("NETPOL-INPUT", "NETPOL-SERVICE-INPUT")
THEIRS = "*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"

Answers = dict[str, str | None]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], list[Sequence[str]]]:
    """A host whose tools print these texts, fail (None) or, where not named, are not installed."""

    def arrange(answers: Answers) -> list[Sequence[str]]:
        started: list[Sequence[str]] = []

        def run(arguments: Sequence[str], *_: object) -> Outcome:
            started.append(arguments)
            name = " ".join(argument for argument in arguments if argument != "--version")
            if name.replace("-restore", "-save") not in answers:
                raise ToolMissing(f"{arguments[0]} is not installed")
            text = answers[name.replace("-restore", "-save")]
            return Outcome(0 if text is not None else 1, text or "", "")

        monkeypatch.setattr(module, "run_tool", run)
        return started

    return arrange


Host = Callable[[Answers], list[Sequence[str]]]


def saves(nft: str | None = "", legacy: str | None = "", nft6: str | None = "", legacy6: str | None = "") -> Answers:
    return {
        "iptables-nft-save": nft,
        "ip6tables-nft-save": nft6,
        "iptables-legacy-save": legacy,
        "ip6tables-legacy-save": legacy6,
    }


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (saves(nft=HINT, legacy=THEIRS * 9), NFT),
        (saves(legacy=CANARY, nft=THEIRS * 9), LEGACY),
        (saves(legacy6=HINT, nft=THEIRS), LEGACY),
        (saves(legacy=CANARY + THEIRS, nft=HINT), LEGACY),
        (saves(nft=THEIRS), NFT),
        (saves(legacy=THEIRS), LEGACY),
        (saves(legacy6=THEIRS * 2, nft=THEIRS), LEGACY),
        (saves(nft=OURS, legacy=THEIRS), LEGACY),
        (saves(legacy=OURS, nft6=THEIRS), NFT),
        (saves(nft=PROXYS * 5, legacy=THEIRS), LEGACY),
        (saves(nft=OURS * 5, legacy=OURS) | {"iptables": PLAIN_LEGACY}, LEGACY),
        (saves() | {"iptables": PLAIN_NFT}, NFT),
        (saves() | {"iptables": PLAIN_LEGACY}, LEGACY),
        (saves(nft=THEIRS, legacy=THEIRS) | {"iptables": PLAIN_LEGACY}, LEGACY),
        (saves(), NFT),
        (saves(nft6=None, legacy6=None, legacy=THEIRS), LEGACY),
        (saves(nft=None) | {"iptables": PLAIN_NFT}, LEGACY),
        ({"iptables-nft-save": "", "ip6tables-nft-save": "", "iptables": PLAIN_LEGACY}, NFT),
        ({"iptables-legacy-save": "", "ip6tables-legacy-save": ""}, LEGACY),
    ],
)
def test_what_the_host_uses(host: Host, answers: Answers, found: Variant) -> None:
    host(answers)
    assert detect() is found


def test_a_comment_is_no_sign(host: Host) -> None:
    text = '*filter\n-A INPUT -m comment --comment ":KUBE-IPTABLES-HINT - -j NETPOL-INPUT" -j DROP\nCOMMIT\n'
    host(saves(legacy=text, nft=""))
    assert detect() is LEGACY


def test_no_variant_is_refused_with_a_mend(host: Host) -> None:
    host({})
    assert variants_present() == ()
    with pytest.raises(KernelRefusal, match="install the package iptables"):
        detect()


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (saves(legacy=OURS), True),
        (saves(legacy=None, legacy6=THEIRS + OURS), True),
        (saves(legacy=PROXYS + THEIRS, legacy6=THEIRS, nft=OURS), False),
        (saves(legacy=None, legacy6=None), False),
        ({}, False),
    ],
)
def test_whether_a_variant_holds_chains_takes_a_tool_for_each_family(host: Host, answers: Answers, found: bool) -> None:
    started = host(answers)
    assert holds(LEGACY, FIREWALL.is_ours) is found
    assert started == [("iptables-legacy-save",), ("ip6tables-legacy-save",)][: max(1, len(answers))]


@pytest.mark.parametrize(("makes_table", "present"), [("*filter\n", (NFT, LEGACY)), (None, (NFT,))])
def test_a_kernel_without_legacy_tables(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    makes_table: str | None,
    present: tuple[Variant, ...],
) -> None:
    monkeypatch.setattr(module, "_LEGACY_MODULE", tmp_path / "absent")
    host(saves(nft="") | {"unshare --net iptables-legacy-save -t filter": makes_table})
    assert variants_present() == present


@pytest.mark.kernel
@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
@pytest.mark.parametrize("found", Variant)
def test_real_hosts(found: Variant, family: str, private_network: None) -> None:
    other = LEGACY if found is NFT else NFT
    assert variants_present() == (NFT, LEGACY)

    def run(variant: Variant, *arguments: str) -> None:
        subprocess.run((f"{family}-{variant.value}", *arguments), check=True)

    run(found, "-A", "INPUT", "-j", "ACCEPT")
    assert detect() is found
    run(other, "-A", "INPUT", "-j", "ACCEPT")
    run(other, "-A", "INPUT", "-j", "ACCEPT")
    assert detect() is other
    run(found, "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")
    assert detect() is found


@pytest.mark.kernel
def test_looking_makes_no_table(private_network: None) -> None:
    detect()
    assert Path("/proc/thread-self/net/ip_tables_names").read_text(encoding="utf-8") == ""
    assert subprocess.run(("nft", "list", "tables"), capture_output=True, check=True).stdout == b""
