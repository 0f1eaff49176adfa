from collections.abc import Callable
from pathlib import Path

import pytest

from netpol.dataplane.tool import Outcome, ToolMissing
from netpol.doctor import probe as module
from netpol.doctor.diagnosis import SYSCTLS, diagnose
from netpol.doctor.host import Capability, OtherProxy
from netpol.doctor.probe import probe
from netpol.errors import KernelRefusal
from netpol.lab.namespace import LabError
from netpol.model.networks import Family
from netpol.settings import Variant

EVERYTHING = "CapEff:\t000001ffffffffff\n"
AGENT = "CapEff:\t0000000000003000\n"
NOTHING = "CapEff:\t0000000000000000\n"


@pytest.fixture(autouse=True)
def _no_tools_and_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test says otherwise, no tool is installed and no namespace can be made."""

    def refuse(error: Exception) -> Callable[..., None]:
        def refusal(*_: object) -> None:
            raise error

        return refusal

    monkeypatch.setattr(module, "run_tool", refuse(ToolMissing("not installed")))
    monkeypatch.setattr(module, "detect", refuse(KernelRefusal("no iptables here")))
    monkeypatch.setattr(module, "try_kernel", refuse(LabError("no namespace here")))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_an_empty_host_is_found_empty_and_can_be_judged(tmp_path: Path) -> None:
    host = probe(tmp_path)
    assert host.capabilities == frozenset()
    assert host.families == ()
    assert host.sysctls == dict.fromkeys(SYSCTLS)
    assert (host.variant, host.variant_trouble) == (None, "no CAP_NET_ADMIN")
    assert (host.trials, host.untried) == (None, "no CAP_NET_ADMIN, no CAP_NET_RAW, no CAP_SYS_ADMIN")
    assert diagnose(host)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (EVERYTHING, frozenset(Capability)),
        (NOTHING, frozenset()),
        ("CapEff:\t0000000000001000\n", {Capability.NET_ADMIN}),
        (AGENT, {Capability.NET_ADMIN, Capability.NET_RAW}),
        ("CapPrm:\t000001ffffffffff\n", frozenset()),
    ],
)
def test_effective_capabilities_count(tmp_path: Path, status: str, found: frozenset[Capability]) -> None:
    assert probe(write(tmp_path, {"proc/self/status": f"Name:\tnetpol\n{status}Threads:\t1\n"})).capabilities == found


def test_what_is_not_tried_says_which_right_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "detect", lambda: Variant.NFT)
    host = probe(write(tmp_path, {"proc/self/status": AGENT}))
    assert (host.variant, host.variant_trouble) == (Variant.NFT, "")
    assert (host.trials, host.untried) == (None, "no CAP_SYS_ADMIN")


def test_a_host_that_gives_no_namespace_says_why(tmp_path: Path) -> None:
    host = probe(write(tmp_path, {"proc/self/status": EVERYTHING}))
    assert (host.trials, host.untried) == (None, "no namespace here")


def test_an_error_of_the_system_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(module, "try_kernel", fail)
    assert probe(write(tmp_path, {"proc/self/status": EVERYTHING})).untried == "No such file or directory"


def test_only_the_variants_with_all_their_tools_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_tool(arguments: tuple[str, ...]) -> Outcome:
        if arguments[0] == "ip6tables-legacy-save":
            raise ToolMissing("not installed")
        return Outcome(1 if arguments[0] == "iptables-nft-save" else 0, "", "")

    tried: list[object] = []
    monkeypatch.setattr(module, "run_tool", run_tool)
    monkeypatch.setattr(module, "try_kernel", lambda *asked: tried.append(asked[1]))
    host = probe(write(tmp_path, {"proc/self/status": EVERYTHING}))
    assert len(host.tools) == 6
    assert tried == [[]]


def test_the_variant_of_the_host_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"proc/self/status": EVERYTHING})
    assert (probe(tmp_path).variant, probe(tmp_path).variant_trouble) == (None, "no iptables here")
    monkeypatch.setattr(module, "detect", lambda: Variant.LEGACY)
    assert probe(tmp_path).variant is Variant.LEGACY


def test_families_and_sysctls_are_read(tmp_path: Path) -> None:
    host = probe(write(tmp_path, {"proc/sys/net/ipv4/ip_forward": "1\n"}))
    assert host.families == (Family.IPV4,)
    assert host.sysctls["net/ipv4/ip_forward"] == "1"
    assert host.sysctls["net/bridge/bridge-nf-call-iptables"] is None


def test_a_bridge_counts_once_something_is_plugged_in(tmp_path: Path) -> None:
    links = tmp_path / "sys/class/net"
    for name in ("cni0", "empty0"):
        (links / name / "bridge").mkdir(parents=True)
    for port in ("veth0", "veth1"):
        (links / port / "brport").mkdir(parents=True)
        (links / port / "brport/bridge").symlink_to(links / "cni0")
    assert probe(tmp_path).bridges == ("cni0",)


def test_firewalld_and_ufw_are_seen(tmp_path: Path) -> None:
    assert probe(write(tmp_path, {"etc/ufw/ufw.conf": "ENABLED=no\n", "proc/9/comm": "bash\n"})).other_firewalls == ()
    write(tmp_path, {"etc/ufw/ufw.conf": "# on\nENABLED=yes\nLOGLEVEL=low\n", "proc/77/comm": "firewalld\n"})
    assert probe(tmp_path).other_firewalls == ("firewalld", "ufw")


def test_another_proxy_that_runs_or_has_left_its_link_is_seen(tmp_path: Path) -> None:
    assert probe(write(tmp_path, {"proc/9/comm": "kubelet\n"})).other_proxies == frozenset()
    write(tmp_path, {"proc/77/comm": "kube-proxy\n", "proc/78/comm": "kube-router\n"})
    assert probe(tmp_path).other_proxies == {OtherProxy.KUBE_PROXY, OtherProxy.KUBE_ROUTER}
    (tmp_path / "sys/class/net/kube-ipvs0").mkdir(parents=True)
    assert OtherProxy.KUBE_PROXY_LINK in probe(tmp_path).other_proxies


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ("KUBE-SERVICES", {OtherProxy.KUBE_PROXY_CHAINS}),
        ("KUBE-ROUTER-INPUT", {OtherProxy.KUBE_ROUTER_CHAINS}),
        ("KUBE-KUBELET-CANARY", set[OtherProxy]()),
        ("NETPOL-SERVICE-INPUT", set[OtherProxy]()),
    ],
)
def test_the_chains_of_another_proxy_are_seen_in_either_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: str, found: set[OtherProxy]
) -> None:
    def run_tool(arguments: tuple[str, ...]) -> Outcome:
        saved = f"*nat\n:{chain} - [0:0]\nCOMMIT\n" if arguments == ("iptables-legacy-save",) else "*nat\nCOMMIT\n"
        return Outcome(0, saved, "")

    monkeypatch.setattr(module, "run_tool", run_tool)
    assert probe(tmp_path).other_proxies == found
