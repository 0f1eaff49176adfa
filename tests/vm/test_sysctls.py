"""The kernel's settings are kept as those in memory are; and what only a kernel can show."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sysctl_cases import ARP, CONNTRACK, FORWARD, Settings, SysctlCases

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.links import DummyLink
from proxy.kernel.memory import SYSCTLS
from proxy.kernel.sysctls import ProcSysctls, node_sysctls
from proxy.names import LINK

pytestmark = pytest.mark.vm

READ_ONLY, REMOUNT, BIND = 1, 32, 4096
libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def get(name: str) -> str:
    return path(name).read_text(encoding="ascii").strip()


def put(name: str, value: str) -> None:
    path(name).write_text(value, encoding="ascii")


@pytest.fixture
def link(private_network: None) -> Iterator[DummyLink]:
    # The settings of IPVS are there once it is.
    NetlinkServers().close()
    with DummyLink() as link:
        yield link


@pytest.fixture
def settings(link: DummyLink) -> Settings:
    for name in (CONNTRACK, ARP, FORWARD):
        put(name, "0")
    return Settings(lambda: ProcSysctls(SYSCTLS), link, get, put)


class TestInTheKernel(SysctlCases):
    """Every case, in the kernel."""


def test_a_node_has_every_setting_and_its_former_ones_are_kept_in_the_alias(link: DummyLink) -> None:
    wanted = node_sysctls(tuple(Family), "6.1.0")
    link.ensure()
    sysctls = ProcSysctls(wanted)
    sysctls.ensure()
    assert {name: get(name) for name in wanted} == dict(wanted)
    shown = subprocess.run(("ip", "link", "show", "dev", LINK), check=True, capture_output=True, text=True).stdout
    assert "alias netpol-1 conf.all.arp_announce=0 conf.all.arp_ignore=0 vs.conn_reuse_mode=1 vs.conntrack=0" in shown
    sysctls.restore()
    assert get("net.ipv4.conf.all.arp_announce") == "0"
    assert get("net.ipv6.conf.all.forwarding") == "1"


def test_what_this_kernel_has_not_is_passed_over(link: DummyLink) -> None:
    link.ensure()
    sysctls = ProcSysctls({"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.vs.of_another_kernel": "1"})
    sysctls.ensure()
    assert sysctls.drift() == {}


@pytest.mark.usefixtures("read_only")
def test_what_is_right_already_need_not_be_written(link: DummyLink) -> None:
    link.ensure()
    ProcSysctls({ARP: get(ARP)}).ensure()
    wrong = {ARP: "1" if get(ARP) == "0" else "0", FORWARD: "1" if get(FORWARD) == "0" else "0"}
    with pytest.raises(KernelRefusal) as refused:
        ProcSysctls(wrong).ensure()
    assert str(refused.value) == (
        f"kernel settings cannot be set: {ARP} to {wrong[ARP]} (Read-only file system), "
        f"{FORWARD} to {wrong[FORWARD]} (Read-only file system)"
    )


@pytest.fixture
def read_only(link: DummyLink) -> Iterator[None]:
    for flags in (BIND, REMOUNT | BIND | READ_ONLY):
        assert libc.mount(b"/proc/sys", b"/proc/sys", None, flags, None) == 0
    yield
    assert libc.umount2(b"/proc/sys", 0) == 0
