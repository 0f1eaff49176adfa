from __future__ import annotations

from pathlib import Path

import pytest

from netpol.dataplane.bridges import BRIDGE_CALLS, Unseen, bridges_with_ports, unfiltered, unseen
from netpol.model.networks import Family


def test_only_bridges_with_ports_count(tmp_path: Path) -> None:
    for link in ("cni0", "docker0", "veth1", "veth2", "eth0"):
        (tmp_path / link).mkdir()
    for port in ("veth1", "veth2"):
        (tmp_path / port / "brport").mkdir()
        (tmp_path / port / "brport" / "bridge").symlink_to(tmp_path / "cni0")
    assert bridges_with_ports(tmp_path) == ("cni0",)


@pytest.mark.parametrize(
    ("value", "names"), [("1\n", ()), ("0\n", ("net.bridge.bridge-nf-call-iptables",))], ids=["on", "off"]
)
def test_a_setting_that_is_not_on_keeps_packets_from_the_rules(
    tmp_path: Path, value: str, names: tuple[str, ...]
) -> None:
    setting = tmp_path / BRIDGE_CALLS[Family.IPV4]
    setting.parent.mkdir(parents=True)
    setting.write_text(value)
    assert unfiltered([Family.IPV4], tmp_path) == names


def test_a_kernel_without_the_settings_filters_no_bridge(tmp_path: Path) -> None:
    assert unfiltered(Family, tmp_path) == (
        "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables",
    )


def test_bridged_packets_pass_unseen_where_there_are_ports_and_no_settings(tmp_path: Path) -> None:
    assert unseen([Family.IPV4], tmp_path) is None

    port, bridge = (tmp_path / "sys/class/net" / name for name in ("veth1/brport", "cni0"))
    port.mkdir(parents=True)
    bridge.mkdir()
    (port / "bridge").symlink_to(bridge)

    assert unseen([Family.IPV4], tmp_path) == Unseen("cni0", "sysctl -w net.bridge.bridge-nf-call-iptables=1")
