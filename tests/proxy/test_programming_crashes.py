"""Wherever the process or the kernel stops, nothing is unrecorded or open, and whoever comes next ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from live_proxy import LiveProxy, ProxyNode
from proxy_breaches import breaches
from proxy_builders import endpoint, endpoint_slice, service
from proxy_facts import Told

from netpol.model.facts import PROXY_KINDS
from netpol.model.networks import Family

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
LESS = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DNS = service("kube-system/dns", "10.96.0.2", ports="53:30053/UDP")
DNS_SLICE = endpoint_slice("kube-system/dns-1", "dns", endpoint("10.0.0.53", "n1"), ports="53/UDP")
SOME = service("shop/web", "10.96.0.10", ports="80:30081/TCP", load_balancer="198.51.100.2", sources="203.0.113.0/24")
FOR_ALL = replace(SOME, source_ranges=None)
DIRECT = replace(service("shop/far", external="198.51.100.9", cluster="10.96.0.20"), direct_return=True)
DIRECT_SLICE = endpoint_slice("shop/far-1", "far", endpoint("10.0.0.7", "n1"))


WORLDS: dict[str, tuple[Told, ...]] = {
    "nothing": (),
    "two": (WEB, WEB_SLICE, DNS, DNS_SLICE),
    "one, with less": (WEB, LESS),
    "one, with none": (WEB, DNS, DNS_SLICE),
    "for some": (SOME, WEB_SLICE, DIRECT, DIRECT_SLICE),
    "for all": (FOR_ALL, WEB_SLICE, DNS),
    "another scheduler": (replace(WEB, scheduler="lc"), WEB_SLICE, DNS, DNS_SLICE),
}


def watched(node: ProxyNode, patch: pytest.MonkeyPatch) -> list[str]:
    """What is found amiss from here on, before every operation."""
    enter: Callable[[str], None] = node.journal.enter
    found: list[str] = []

    def check(operation: str) -> None:
        found.extend(f"before {operation}: {each}" for each in breaches(node))
        enter(operation)

    patch.setattr(node.journal, "enter", check)
    return found


@pytest.mark.parametrize(("start", "end"), list(permutations(WORLDS, 2)))
def test_nothing_is_unrecorded_or_open_at_any_step(start: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveProxy()
    found = watched(live.kernel, monkeypatch)
    live.started(*WORLDS[start])
    live.announce(PROXY_KINDS, *WORLDS[end])
    live.step()
    assert live.programming.is_certain
    live.step(after_seconds=60)
    assert found == []
    again = LiveProxy(live.kernel).started(*WORLDS[start])
    assert again.programming.is_certain
    assert (found, breaches(live.kernel)) == ([], [])


class Crash(BaseException):
    """The process ends here: nothing is caught, and nothing is remembered."""


@pytest.mark.parametrize("end", WORLDS)
def test_whoever_comes_after_a_crash_at_any_operation_ends_it(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel holds then is as if there had been no crash, and at no moment is it unrecorded or open."""
    whole = LiveProxy().started(*WORLDS["two"])
    before = len(whole.operations)
    whole.announce(PROXY_KINDS, *WORLDS[end])
    whole.step()
    count = len(whole.operations) - before
    whole.step(after_seconds=60)
    for number in range(count):
        live = LiveProxy().started(*WORLDS["two"])
        with monkeypatch.context() as patch:
            crash_after(live.kernel, number, patch)
            live.announce(PROXY_KINDS, *WORLDS[end])
            with pytest.raises(Crash):
                live.step()
        assert breaches(live.kernel) == []
        with monkeypatch.context() as patch:
            found = watched(live.kernel, patch)
            again = LiveProxy(live.kernel).started(*WORLDS[end])
            again.step(after_seconds=60)
            again.step(after_seconds=60)
        assert (found, breaches(live.kernel)) == ([], [])
        assert held(live.kernel) == held(whole.kernel)


def crash_after(node: ProxyNode, number: int, patch: pytest.MonkeyPatch) -> None:
    """So many more operations are done, and the process ends before the next."""
    enter: Callable[[str], None] = node.journal.enter
    left = [number]

    def count(operation: str) -> None:
        if not left[0]:
            raise Crash
        left[0] -= 1
        enter(operation)

    patch.setattr(node.journal, "enter", count)


def held(node: ProxyNode) -> tuple[object, ...]:
    """All that services have of the kernel."""
    tables = [table.read(Family.IPV4) for table in (node.seen.tables, node.seen.nat, node.seen.mangle)]
    sets = {name: each.members for name, each in node.seen.sets.read().items()}
    return node.servers.read(), node.link.read(), sets, tables, node.tunnels.marks, node.tunnels.opened


@pytest.mark.parametrize("end", WORLDS)
def test_nothing_is_unrecorded_or_open_after_a_refusal(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LiveProxy().started(*WORLDS["two"])
    before = len(whole.operations)
    whole.announce(PROXY_KINDS, *WORLDS[end])
    whole.step()
    for number in range(len(whole.operations) - before):
        live = LiveProxy().started(*WORLDS["two"])
        live.kernel.journal.refuse(after=number)
        live.announce(PROXY_KINDS, *WORLDS[end])
        live.step()
        assert breaches(live.kernel) == []
