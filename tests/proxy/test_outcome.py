"""What was done, in numbers and words."""

from __future__ import annotations

from proxy_builders import destination, server

from netpol.compiler.ruleset import AddressPort, IpSet, SetType
from netpol.dataplane.steps import AddMembers
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy.model import AddDestination, AddServer, RemoveServer, Scheduling
from proxy.outcome import Outcome

WEB = server("10.96.0.10:80/TCP")
MEMBERS = AddMembers(
    IpSet("NETPOL-SERVICES-4", SetType.ADDRESS_PORTS, Family.IPV4), (AddressPort(b"\x0a\x60\0\x0a", Protocol.TCP, 80),)
)


def test_outcomes_add_up() -> None:
    first = Outcome((MEMBERS,), (AddServer(WEB, Scheduling()),), 2, 1, 0, 1, 2, 3, 4)
    second = Outcome((), (AddDestination(WEB, destination("10.0.0.1:80")), RemoveServer(WEB)), 0, 0, 5, 0, 4, 0, 1)
    both = first + second
    assert str(both) == (
        "1 servers added, 1 endpoints added, 1 servers removed, 2 chains of nat and mangle written, "
        "1 addresses bound, 5 addresses unbound, 1 links set up, 6 rules and routes of marks changed, "
        "3 kernel settings mended, 5 connections forgotten, 1 members added"
    )
    assert both.steps == 1 + 3 + 2 + 1 + 5 + 1 + 6 + 3


def test_forgotten_connections_are_no_change_of_their_own() -> None:
    assert Outcome(flows_forgotten=7).steps == 0
