"""Which settings a node is to have, and which of them are told when they cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel import sysctls
from proxy.kernel.sysctls import ProcSysctls, node_sysctls

REUSE = "net.ipv4.vs.conn_reuse_mode"


@pytest.mark.parametrize(
    ("release", "mode"),
    [
        ("6.1.176", "1"),
        ("5.9.0-rc1", "1"),
        ("5.10.0", "1"),
        ("5.8.18-generic", "0"),
        ("4.18.0-553.el8", "0"),
        ("3.10", "0"),
    ],
)
def test_a_port_that_is_used_again_waits_nowhere(release: str, mode: str) -> None:
    assert node_sysctls(tuple(Family), release)[REUSE] == mode


def test_only_the_families_that_are_proxied_are_forwarded() -> None:
    both, four, six = (set(node_sysctls(each, "6.1")) for each in (tuple(Family), (Family.IPV4,), (Family.IPV6,)))
    assert both - four == {"net.ipv6.conf.all.forwarding"}
    assert both - six == {"net.ipv4.ip_forward", "net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_announce"}
    assert "net.ipv4.vs.conntrack" in four & six


def test_ipvs_without_conntrack_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    (tmp_path / "net/ipv4/vs").mkdir(parents=True)
    settings = ProcSysctls(node_sysctls(tuple(Family), "6.1"))
    assert settings.drift() == {}
    with pytest.raises(KernelRefusal, match=r"^net\.ipv4\.vs\.conntrack cannot be set: .* without CONFIG_IP_VS_NFCT"):
        settings.ensure()


def test_a_setting_that_cannot_be_read_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    (tmp_path / "net/ipv4/ip_forward").mkdir(parents=True)
    with pytest.raises(KernelRefusal, match=r"^net\.ipv4\.ip_forward cannot be read: Is a directory"):
        ProcSysctls({"net.ipv4.ip_forward": "1"}).drift()


@pytest.mark.kernel
def test_what_cannot_be_remembered_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_network: None
) -> None:
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    names = [f"net.ipv4.{'x' * 60}{number}" for number in range(4)]
    (tmp_path / "net/ipv4").mkdir(parents=True)
    for name in names:
        (tmp_path / name.replace(".", "/")).write_text("0\n", encoding="ascii")
    with pytest.raises(KernelRefusal, match=r"^kernel settings cannot be remembered: netpol-1 x.* is too long"):
        ProcSysctls(dict.fromkeys(names, "1"), link="lo").ensure()
    few = ProcSysctls(dict.fromkeys(names[:3], "1"), link="lo", kept=names[:1])
    few.ensure()
    assert few.drift() == {}
    few.restore()
    assert few.drift() == dict.fromkeys(names[1:3], "1")
