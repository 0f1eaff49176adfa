"""What every connection table tells and forgets: the kernel's, and the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from flow_entries import Entry, establish

from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.kernel import Flow, Flows
from netpol.dataplane.memory import MemoryKernel
from netpol.model.networks import Family
from netpol.model.ports import Protocol

PROTOCOLS = (*Protocol, None)
"""Those that policies name, and one that they cannot."""

Table = tuple[Flows, Callable[..., None]]


@pytest.fixture(params=["memory", pytest.param("netlink", marks=pytest.mark.kernel)])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        kernel = MemoryKernel()

        def remember(*entries: Entry) -> None:
            for entry in entries:
                port = entry.backend_port if entry.has_ports else None
                handle = repr(entry).encode()
                asked = (entry.service, entry.service_port) if entry.service != entry.backend else None
                flow = Flow(entry.client, entry.backend, entry.protocol, port, handle, asked)
                kernel.flows.open(entry.family, flow, entry.service)

        yield kernel.flows, remember
        return
    request.getfixturevalue("private_network")
    with NetlinkFlows() as netlink:
        yield netlink, establish


def entry(family: Family, protocol: Protocol | None = Protocol.TCP, number: int = 1) -> Entry:
    prefix = "10.0.{}.{}" if family is Family.IPV4 else "fd00:0:{}::{}"
    client, service, backend = (ip_address(prefix.format(side, number)) for side in (1, 2, 3))
    backend = backend if protocol is not None and protocol.has_ports else service
    return Entry(protocol, client, service, backend, client_port=40000 + number)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_flow_is_told_by_its_addresses_after_translation(
    table: Table, family: Family, protocol: Protocol | None
) -> None:
    flows, establish_all = table
    opened = entry(family, protocol)
    establish_all(opened)
    (flow,) = flows.read(family)
    assert (flow.source, flow.destination) == (opened.client, opened.backend)
    assert (flow.protocol, flow.port) == (protocol, 8080 if opened.has_ports else None)
    assert flow.asked == ((opened.service, 80) if opened.has_ports else None)
    assert flows.read(Family.IPV6 if family is Family.IPV4 else Family.IPV4) == ()


def test_several_families_are_read_at_once(table: Table) -> None:
    flows, establish_all = table
    opened = [entry(family, protocol, number) for family in Family for protocol in PROTOCOLS for number in (1, 2, 3)]
    establish_all(*opened)
    found = flows.read(*Family)
    assert sorted(map(repr, found)) == sorted(repr(flow) for family in Family for flow in flows.read(family))
    assert len(found) == len(opened)
    touching = {entry(Family.IPV4, number=1).client, entry(Family.IPV6, number=2).client}
    assert {flow.source for flow in flows.read(*Family, touching=touching)} == touching
    assert flows.read() == flows.read(touching=touching) == ()


@pytest.mark.parametrize("family", Family)
def test_exactly_the_named_flows_are_forgotten(table: Table, family: Family) -> None:
    flows, establish_all = table
    opened = [entry(family, protocol, number) for protocol in PROTOCOLS for number in range(1, 101)]
    establish_all(*opened)
    known = flows.read(family)
    assert len(known) == len(opened)
    gone = {each.client for each in opened[::3]}
    flows.delete(family, [flow for flow in known if flow.source in gone])
    assert {flow.source for flow in flows.read(family)} == {each.client for each in opened} - gone


@pytest.mark.parametrize("family", Family)
def test_flows_of_another_zone_stay(table: Table, family: Family) -> None:
    flows, establish_all = table
    establish_all(entry(family), replace(entry(family), zone=7))
    first, second = flows.read(family)
    assert first.handle != second.handle
    assert replace(first, handle=b"") == replace(second, handle=b"")
    flows.delete(family, [second])
    assert flows.read(family) == (first,)


@pytest.mark.parametrize("family", Family)
def test_what_is_gone_already_is_no_error(table: Table, family: Family) -> None:
    flows, establish_all = table
    establish_all(entry(family, number=1), entry(family, number=2))
    known = flows.read(family)
    flows.delete(family, known[:1])
    flows.delete(family, known)
    assert flows.read(family) == ()
    flows.delete(family, [])


@pytest.mark.parametrize("family", Family)
def test_flows_of_some_addresses_are_those_with_an_end_among_them(table: Table, family: Family) -> None:
    flows, establish_all = table
    opened = [entry(family, protocol, number) for protocol in PROTOCOLS for number in range(1, 21)]
    establish_all(*opened)
    known = flows.read(family)
    third, fourth, fifth = (entry(family, number=number) for number in (3, 4, 5))
    touching = {third.client, fourth.service, fifth.backend}
    found = flows.read(family, touching=touching)
    # Of the fifth client's, only those that were translated have that backend.
    assert set(found) == {
        flow for flow in known if flow.source in {third.client, fourth.client} or flow.destination == fifth.backend
    }
    assert len(found) == len(PROTOCOLS) * 2 + 3


@pytest.mark.parametrize("family", Family)
def test_no_address_and_addresses_of_the_other_family_are_at_no_end(table: Table, family: Family) -> None:
    flows, establish_all = table
    opened = entry(family)
    establish_all(opened)
    other = entry(Family.IPV6 if family is Family.IPV4 else Family.IPV4)
    assert flows.read(family, touching=()) == ()
    assert flows.read(family, touching=[other.client, other.backend]) == ()
    assert len(flows.read(family, touching=[other.client, opened.backend])) == 1
