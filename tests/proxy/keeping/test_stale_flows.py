"""Flows of datagrams that are forgotten with what they went to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address
from proxy_builders import destination, server

from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory.flows import MemoryFlows
from netpol.dataplane.memory.journal import Journal
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy.keeping.stale_flows import StaleFlows
from proxy.model import ServerAddress, ServerDestination, ServerMark

DNS, SIX = server("10.96.0.2:53/UDP"), server("[fd00::2]:53/UDP")
ONE, TWO = destination("10.0.0.1:5353"), destination("[fd00:1::1]:5353")


def flow(client: str, reached: str, port: int = 5353, protocol: Protocol = Protocol.UDP) -> Flow:
    return Flow(address(client), address(reached), protocol, port, f"{client} {reached} {port} {protocol}".encode())


@pytest.fixture
def flows() -> MemoryFlows:
    return MemoryFlows(Journal())


def test_only_datagrams_that_the_service_sent_there_are_forgotten(flows: MemoryFlows) -> None:
    stale = [flow("10.0.0.9", "10.0.0.1"), flow("10.0.0.8", "10.0.0.1")]
    others = [
        flow("10.0.0.9", "10.0.0.2"),
        flow("10.0.0.9", "10.0.0.1", 53),
        flow("10.0.0.9", "10.0.0.1", protocol=Protocol.TCP),
    ]
    for each in (*stale, *others):
        flows.open(Family.IPV4, each, opened_to=DNS.address)
    flows.open(Family.IPV4, direct := flow("10.0.0.7", "10.0.0.1"))
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(DNS, ONE)])
    assert forgetting.forget() == 2
    assert set(flows.read(Family.IPV4)) == {*others, direct}
    flows.open(Family.IPV4, stale[0], opened_to=DNS.address)
    assert forgetting.forget() == 0, "what comes later is no matter of then"


def test_connections_of_a_protocol_are_forgotten_with_a_server_of_it(flows: MemoryFlows) -> None:
    web = server("10.96.0.2:80/TCP")
    kept = flow("10.0.0.9", "10.96.0.2", 80)
    for each in (kept, flow("10.0.0.9", "10.96.0.2", 80, Protocol.TCP)):
        flows.open(Family.IPV4, each)
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(web, destination("10.96.0.2:80"))])
    assert forgetting.forget() == 1
    assert flows.read(Family.IPV4) == (kept,)


def test_what_is_told_by_a_mark_conntrack_does_not_translate(flows: MemoryFlows) -> None:
    kept = flow("10.0.0.9", "10.0.0.1")
    flows.open(Family.IPV4, kept, opened_to=DNS.address)
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(ServerMark(Family.IPV4, 0x4E000001), ONE)])
    assert forgetting.forget() == 0
    assert flows.read(Family.IPV4) == (kept,)


def test_both_families_are_forgotten_together(flows: MemoryFlows) -> None:
    flows.open(Family.IPV4, flow("10.0.0.9", "10.0.0.1"), opened_to=DNS.address)
    flows.open(Family.IPV6, flow("fd00:1::9", "fd00:1::1"), opened_to=SIX.address)
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(DNS, ONE), ServerDestination(SIX, TWO)])
    assert forgetting.forget() == 2


def test_of_a_family_without_such_flows_nothing_is_deleted() -> None:
    journal = Journal()
    flows = MemoryFlows(journal)
    flows.open(Family.IPV6, flow("fd00:1::9", "fd00:1::1"), opened_to=SIX.address)
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(DNS, ONE), ServerDestination(SIX, TWO)])
    assert forgetting.forget() == 1
    assert (flows.read(Family.IPV6), len(journal.operations)) == ((), 1)


def test_what_is_refused_is_still_to_be_forgotten() -> None:
    journal = Journal()
    flows = MemoryFlows(journal)
    flows.open(Family.IPV4, flow("10.0.0.9", "10.0.0.1"), opened_to=DNS.address)
    forgetting = StaleFlows(flows)
    forgetting.add([ServerDestination(DNS, ONE)])
    journal.refuse(after=0)
    with pytest.raises(KernelRefusal):
        forgetting.forget()
    assert forgetting.forget() == 1


def test_what_a_killed_agent_was_to_forget_is_found_by_where_servers_send_packets(flows: MemoryFlows) -> None:
    def asked(reached: str, of: ServerAddress = DNS, protocol: Protocol = Protocol.UDP) -> Flow:
        handle = f"{reached} {of} {protocol}".encode()
        return replace(flow("10.0.0.9", reached, protocol=protocol), asked=(of.address, of.port), handle=handle)

    gone = asked("10.0.0.3")
    others = [
        asked("10.0.0.1"),
        asked("10.0.0.3", protocol=Protocol.TCP),
        asked("10.0.0.3", server("10.96.0.2:54/UDP")),
        flow("10.0.0.9", "10.96.0.2", 53),
    ]
    for each in (gone, *others):
        flows.open(Family.IPV4, each, opened_to=DNS.address)
    forgetting = StaleFlows(flows)
    web = server("10.96.0.2:80/TCP")
    assert forgetting.forget_others({DNS: [ONE], SIX: [TWO], web: []}) == 1
    assert set(flows.read(Family.IPV4)) == set(others)
    assert forgetting.forget_others({DNS: []}) == 1
    assert set(flows.read(Family.IPV4)) == set(others[1:])


def test_where_no_datagrams_are_served_no_connection_is_read(
    monkeypatch: pytest.MonkeyPatch, flows: MemoryFlows
) -> None:
    monkeypatch.delattr(MemoryFlows, "read")
    assert StaleFlows(flows).forget_others({server("10.96.0.2:80/TCP"): []}) == 0
