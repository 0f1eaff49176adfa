"""What is said where a pod, or its settings, cannot be reached; tests/vm has tunnels."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from netpol.errors import KernelRefusal
from proxy.kernel import tunnels
from proxy.kernel.links import NetlinkLinks
from proxy.kernel.tunnels import NetlinkTunnels

pytestmark = pytest.mark.kernel

POD, VIPS = ip_address("10.244.0.1"), frozenset({ip_address("203.0.113.10")})


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, private_network: None) -> None:
    """No other namespace is to be seen."""
    monkeypatch.setattr(tunnels, "reachable_namespaces", tuple)


def test_a_pod_that_is_not_visible_is_told_of() -> None:
    with NetlinkTunnels() as direct, pytest.raises(KernelRefusal) as refused:
        direct.open(POD, VIPS)
    assert str(refused.value) == (
        "no tunnel can be opened in pod 10.244.0.1: its network namespace is not visible: "
        "hostPID and /run/netns are needed"
    )


def test_an_address_of_the_nodes_own_needs_no_tunnel() -> None:
    with NetlinkTunnels() as direct:
        direct.open(ip_address("127.0.0.1"), VIPS)
        direct.close_all()
        direct.remove()


def test_a_filter_that_cannot_be_loosened_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "_FILTERS", tmp_path)
    for name, value in (("all", "1"), ("lo", "0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rp_filter").write_text(f"{value}\n", encoding="ascii")
    with NetlinkTunnels() as direct:
        direct._loosen(ip_address("127.0.0.1"))
        assert (tmp_path / "lo/rp_filter").read_text(encoding="ascii") == "2"
        direct.remove()
        assert (tmp_path / "lo/rp_filter").read_text(encoding="ascii") == "0"
        (tmp_path / "all/rp_filter").unlink()
        with pytest.raises(KernelRefusal, match=r"^rp_filter of link all cannot be read: No such file or directory"):
            direct._loosen(ip_address("127.0.0.1"))


@pytest.mark.parametrize("values", [("0", "0"), ("2", "1"), ("1", "2")])
def test_a_filter_that_is_no_obstacle_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[str, str]
) -> None:
    monkeypatch.setattr(tunnels, "_FILTERS", tmp_path)
    for name, value in zip(("all", "lo"), values, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rp_filter").write_text(value, encoding="ascii")
    with NetlinkTunnels() as direct:
        direct._loosen(ip_address("127.0.0.1"))
    assert (tmp_path / "lo/rp_filter").read_text(encoding="ascii") == values[1]


def test_an_address_that_no_route_leads_to_has_no_link() -> None:
    with NetlinkLinks() as links:
        assert links.towards(POD) is None
        found = links.towards(ip_address("127.0.0.1"))
        assert found is not None
        assert found.name == "lo"
