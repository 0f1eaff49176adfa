"""Taking everything of the service proxy's away, from kernels in whatever state."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from live_proxy import LiveProxy, ProxyNode
from proxy_builders import endpoint, endpoint_slice, server, service

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import Action, InSet, Rule, Side
from netpol.dataplane.clearing import Cleared
from netpol.dataplane.kernel import Tables
from netpol.dataplane.memory.sets import MemorySets
from netpol.dataplane.render import render_rule
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from proxy.clearing import RECORDS_KEPT, RULES_KEPT, Beside, clear
from proxy.kernel.memory import MemoryLink
from proxy.model import AddDestination, AddServer, Destination, Scheduling, ServerMark
from proxy.names import MARK_BASE, owned_set

WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
FOREIGN = server("198.51.100.1:80/TCP")


@pytest.fixture(name="node")
def _node() -> ProxyNode:
    """A node whose kernel was programmed, beside what somebody else has there."""
    node = ProxyNode()
    node.servers.apply([AddServer(FOREIGN, Scheduling()), AddServer(ServerMark(Family.IPV4, 7), Scheduling())])
    node.memory.tables.plant(Family.IPV4, "INPUT", "-j ACCEPT")
    LiveProxy(node).started(WEB, WEB_SLICE)
    return node


def tables(node: ProxyNode) -> list[Tables]:
    return [node.seen.tables, node.seen.nat, node.seen.mangle]


def cleared(node: ProxyNode) -> Cleared:
    return clear(tables(node), node.seen.sets, Beside(node.servers, node.link, node.sysctls, node.tunnels))


def left_in(node: ProxyNode) -> int:
    """How many chains of ours there are."""
    return sum(len(table.read(Family.IPV4).chains) for table in tables(node))


def test_all_of_ours_goes_and_nothing_else(node: ProxyNode) -> None:
    chains, sets = left_in(node), len(node.seen.sets.read())
    assert node.sysctls.drift() == {}
    done = cleared(node)
    assert done == Cleared(chains, sets, servers=2, addresses=1, left=())
    assert node.servers.read().keys() == {FOREIGN, ServerMark(Family.IPV4, 7)}
    assert node.link.read() is None
    assert "net.ipv4.vs.conntrack" in node.sysctls.drift(), "it is what it was before"
    assert left_in(node) == 0
    assert node.seen.sets.read() == {}
    assert node.memory.tables.save(Family.IPV4).count("-A ") == 1, "the rule of somebody else"
    assert cleared(node) == Cleared()


def test_servers_with_our_marks_are_ours_and_those_beside_ours_are_not(node: ProxyNode) -> None:
    stray, marked = server("10.96.0.10:81/TCP"), ServerMark(Family.IPV4, MARK_BASE | 1)
    node.servers.apply([AddServer(stray, Scheduling()), AddServer(marked, Scheduling())])
    assert cleared(node).servers == 3
    assert node.servers.read().keys() == {stray, FOREIGN, ServerMark(Family.IPV4, 7)}


def test_without_a_record_the_link_and_the_servers_are_anothers() -> None:
    """kube-router's link has the same name."""
    node = ProxyNode()
    node.link.ensure()
    node.link.bind([FOREIGN.address])
    node.servers.apply([AddServer(FOREIGN, Scheduling()), AddDestination(FOREIGN, Destination(FOREIGN.address, 80))])
    assert cleared(node) == Cleared()
    assert node.link.read() == frozenset({FOREIGN.address})
    assert node.servers.read().keys() == {FOREIGN}


def test_a_kernel_without_ipvs_loses_the_rest(node: ProxyNode) -> None:
    done = clear(tables(node), node.seen.sets, Beside(None, node.link, node.sysctls, node.tunnels))
    assert (done.servers, done.addresses, done.left) == (0, 1, ())
    assert node.seen.sets.read() == {}


def test_what_is_refused_is_named_and_the_record_of_it_stays(node: ProxyNode) -> None:
    node.journal.refuse(after=0)
    done = cleared(node)
    assert done.left[-1] == RECORDS_KEPT
    assert len(done.left) == 2
    assert owned_set(Family.IPV4) in node.seen.sets.read()
    assert cleared(node).left == ()
    assert node.servers.read().keys() == {FOREIGN, ServerMark(Family.IPV4, 7)}


def test_the_set_that_the_firewall_uses_too_is_left_to_it_without_a_word(node: ProxyNode) -> None:
    using = render_rule(
        Rule((InSet(services_set(Family.IPV4), (Side.DESTINATION, Side.DESTINATION)),), Action.RETURN), Family.IPV4
    )
    node.memory.tables.plant(Family.IPV4, "NETPOL-INPUT", using)
    assert cleared(node).left == ()
    (left,) = node.seen.sets.read().values()
    assert (left.name, left.members) == (services_set(Family.IPV4), frozenset())


def test_what_is_served_no_more_is_judged_where_it_comes_in_before_it_is_served_no_more(node: ProxyNode) -> None:
    """X5: a node's own port may have a listener, whom no policy would guard."""
    before = list(node.journal.operations)
    cleared(node)
    assert sorted(node.journal.operations[len(before) :][:2]) == [
        f"remove {each} from NETPOL-SERVICES-4" for each in ("10.96.0.10,tcp:80", "192.0.2.1,tcp:30080")
    ]


def test_rules_guard_the_addresses_of_services_until_the_link_is_gone(node: ProxyNode) -> None:
    before = len(node.journal.operations)
    cleared(node)
    done = node.journal.operations[before:]
    link = done.index("remove link kube-dummy-if")
    written = [number for number, each in enumerate(done) if each.startswith("write")]
    servers = [
        number
        for number, each in enumerate(done)
        if each.startswith("remove ") and "NETPOL" not in each and number != link
    ]
    assert written
    assert servers
    assert max(servers) < link < min(written)


def test_rules_stay_as_long_as_the_link_does(node: ProxyNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise KernelRefusal("link kube-dummy-if cannot be removed: Operation not permitted")

    chains = left_in(node)
    monkeypatch.setattr(MemoryLink, "remove", refuse)
    assert cleared(node).left == (
        "link kube-dummy-if cannot be removed: Operation not permitted",
        RULES_KEPT,
        RECORDS_KEPT,
    )
    assert left_in(node) == chains
    assert node.link.read() == frozenset({ip_address("10.96.0.10")})
    monkeypatch.undo()
    assert cleared(node).left == ()
    assert left_in(node) == 0


def test_sets_that_cannot_be_read_leave_everything_as_it_is(node: ProxyNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise KernelRefusal("the ipsets cannot be read: it takes root")

    monkeypatch.setattr(MemorySets, "read", refuse)
    assert cleared(node) == Cleared(left=("the ipsets cannot be read: it takes root",))
    monkeypatch.undo()
    assert left_in(node)
    assert len(node.servers.read()) == 4
