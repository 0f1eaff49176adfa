"""Namespaces exist for this process alone and leave it where it was."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from netpol.lab import namespace as module
from netpol.lab.links import Links
from netpol.lab.namespace import LAST_SOURCE_PORT, LabError, Namespace, require_namespaces


def own() -> str:
    """Which network namespace this thread is in."""
    return Path("/proc/thread-self/ns/net").readlink().name


@pytest.mark.kernel
def test_the_thread_is_inside_only_within_the_with() -> None:
    before = own()
    with Namespace("a") as a, Namespace("b") as b:
        assert own() == before
        with a.entered():
            in_a = own()
            with b.entered():
                in_b = own()
            assert own() == in_a
        assert own() == before
        assert len({before, in_a, in_b}) == 3


@pytest.mark.kernel
def test_the_thread_comes_back_after_an_error() -> None:
    before = own()
    with Namespace("a") as a, pytest.raises(ZeroDivisionError), a.entered():
        _ = 1 // 0
    assert own() == before


@pytest.mark.kernel
def test_other_threads_stay_where_they_are() -> None:
    """A thread begins where its creator is, so this one begins before."""
    before, seen = own(), []
    entered = threading.Event()

    def look() -> None:
        entered.wait(10)
        seen.append(own())

    thread = threading.Thread(target=look)
    thread.start()
    with Namespace("a") as a, a.entered():
        entered.set()
        thread.join()
    assert seen == [before]


@pytest.mark.kernel
def test_processes_started_inside_stay_inside() -> None:
    with Namespace("a") as a:
        with a.entered():
            inside = own()
        assert a.run(["readlink", "/proc/self/ns/net"]).stdout.strip() == inside
        assert a.run(["cat"], given="text").stdout == "text"


@pytest.mark.kernel
def test_sysctls_are_the_namespaces_own() -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    with Namespace("a") as a:
        for value in ("1", "0"):
            a.configure({"ipv4/ip_forward": value})
            with a.entered():
                assert forwarding.read_text().strip() == value
    assert forwarding.read_text() == before


@pytest.mark.kernel
def test_a_sysctl_that_the_kernel_lacks_is_one_line() -> None:
    with Namespace("a") as a, pytest.raises(LabError, match=r"^a cannot have net/ipv4/nonsense set to 1: No such file"):
        a.configure({"ipv4/nonsense": "1"})


@pytest.mark.kernel
def test_a_closed_namespace_cannot_be_entered() -> None:
    before = own()
    a = Namespace("a")
    a.close()
    a.close()
    with pytest.raises(LabError, match="cannot enter the network namespace of a"), a.entered():
        pass
    assert own() == before


@pytest.mark.kernel
def test_everything_is_gone_after_kill_9() -> None:
    """The child's namespace is known by the end of a link that it holds of ours."""
    child_code = (
        "import time; from netpol.lab.namespace import Namespace; from pyroute2.iproute.linux import IPRoute\n"
        "inner = Namespace('inner')\n"
        "IPRoute().link('add', ifname='to-inner', kind='veth', peer={'ifname': 'x', 'net_ns_fd': inner.descriptor})\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    with Namespace("outer") as outer:
        with outer.entered():
            child = subprocess.Popen([sys.executable, "-c", child_code], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            with Links(outer) as links:
                assert links.index("to-inner") > 0
                child.kill()
                child.wait()
                assert _vanishes(links, "to-inner")
        finally:
            child.kill()
            child.communicate()


def _vanishes(links: Links, name: str) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            links.index(name)
        except LabError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.kernel
def test_source_ports_repeat_only_after_all_were_used() -> None:
    with Namespace("a") as a:
        ports = [a.fresh_source_port() for _ in range(LAST_SOURCE_PORT - module.FIRST_SOURCE_PORT + 1)]
        assert len(set(ports)) == len(ports)
        assert max(ports) == LAST_SOURCE_PORT
        assert a.fresh_source_port() == ports[0]


def test_without_root_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"^needs root: network namespaces$"):
        require_namespaces()
