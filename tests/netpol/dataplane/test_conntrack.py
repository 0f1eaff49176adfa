"""Connections the kernel tracks are read as it translated them, and only the named are deleted."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from dying_socket import DEATHS, Death, bury
from flow_entries import Entry, establish

from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.kernel import Flow
from netpol.dataplane.netlink import NESTED, NetlinkError, NetlinkSocket, Request, attribute
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol

FLOW = Flow(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), Protocol.TCP, 80, b"handle")


@pytest.mark.kernel
@pytest.mark.parametrize("family", Family)
def test_a_new_flow_of_the_same_tuple_stays(family: Family, private_network: None) -> None:
    client, server = ("10.0.0.1", "10.0.0.2") if family is Family.IPV4 else ("fd00::1", "fd00::2")
    entry = Entry(Protocol.UDP, ip_address(client), ip_address(server), ip_address(server))
    with NetlinkFlows() as flows:
        establish(entry)
        old = flows.read(family)
        flows.delete(family, old)
        # A flow's number comes from where it lies in memory; another takes the old one's place first.
        establish(*(replace(entry, client=entry.client + 100 + number) for number in range(100)), entry)
        (new,) = (flow for flow in flows.read(family) if flow.source == entry.client)
        assert new.handle != old[0].handle
        flows.delete(family, old)
        assert new in flows.read(family)


@pytest.mark.kernel
@pytest.mark.parametrize(
    "protocol",
    [
        "gre --srckey 1 --dstkey 1",
        "udplite --sport 40000 --dport 80",
        "dccp --sport 40000 --dport 80 --state OPEN --role client",
        "50",
        "253",
    ],
)
def test_a_protocol_that_no_policy_can_name_has_flows_too(protocol: str, private_network: None) -> None:
    command = f"conntrack -I -s 10.0.0.1 -d 10.0.0.2 -t 600 -p {protocol}"
    made = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with NetlinkFlows() as flows:
        (flow,) = flows.read(Family.IPV4)
        assert (flow.source, flow.destination) == (ip_address("10.0.0.1"), ip_address("10.0.0.2"))
        assert (flow.protocol, flow.port) == (None, None)
        flows.delete(Family.IPV4, [flow])
        assert flows.read(Family.IPV4) == ()


@pytest.mark.kernel
def test_five_thousand_flows_are_read_and_deleted(private_network: None) -> None:
    first = Entry(Protocol.UDP, IPv6Address("fd00::1"), IPv6Address("fd00::2"), IPv6Address("fd00::3"))
    establish(*(replace(first, client_port=1000 + port) for port in range(5_000)))
    with NetlinkFlows() as flows:
        known = flows.read(Family.IPV6)
        assert len({flow.handle for flow in known}) == 5_000
        flows.delete(Family.IPV6, known[1:])
        assert flows.read(Family.IPV6) == known[:1]


@pytest.mark.kernel
def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    os.seteuid(65534)
    try:
        with NetlinkFlows() as flows, pytest.raises(KernelRefusal, match="it takes root"):
            flows.read(Family.IPV4)
    finally:
        os.seteuid(0)


def test_a_flow_without_a_handle_would_mean_all_and_is_refused() -> None:
    with NetlinkFlows() as flows, pytest.raises(KernelRefusal, match="was not read from the kernel"):
        flows.delete(Family.IPV4, [FLOW, replace(FLOW, handle=b"")])


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EINVAL, "modprobe nf_conntrack_netlink"),
        (errno.EINTR, "kept changing"),
        (errno.EBUSY, "Device or resource busy"),
    ],
)
def test_refusals_in_words(number: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NetlinkError(number)

    monkeypatch.setattr(NetlinkSocket, "dump", refuse)
    monkeypatch.setattr(NetlinkSocket, "call_all", lambda *_: iter([NetlinkError(number)]))
    with NetlinkFlows() as flows:
        with pytest.raises(KernelRefusal, match=f"^the connections cannot be read: .*{says}"):
            flows.read(Family.IPV4)
        with pytest.raises(KernelRefusal, match=rf"^the connection from 10\.0\.0\.1 to 10\.0\.0\.2 cannot .*{says}"):
            flows.delete(Family.IPV4, [FLOW])


CLIENT, SERVICE, BACKEND, STRANGER = (bytes([10, 0, 0, number]) for number in range(1, 5))


def in_kernel_order(original: bytes, reply: bytes) -> bytes:
    return original + reply


def turned_round(original: bytes, reply: bytes) -> bytes:
    return reply + original


@pytest.mark.parametrize("order", [in_kernel_order, turned_round])
@pytest.mark.parametrize("packed", [CLIENT, SERVICE, BACKEND, STRANGER])
def test_an_end_is_found_wherever_the_kernel_tells_it(
    order: Callable[[bytes, bytes], bytes], packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuples = (
        attribute(
            NESTED | which,
            attribute(NESTED | 1, attribute(1, source) + attribute(2, destination))
            + attribute(NESTED | 2, attribute(1, b"\x11") + attribute(2, b"\0\x35") + attribute(3, b"\0\x35")),
        )
        for which, source, destination in ((1, CLIENT, SERVICE), (2, BACKEND, CLIENT))
    )
    answer = order(*tuples) + attribute(12, bytes(4))

    def dump(_: NetlinkSocket, request: Request, wanted: Callable[[bytes], bool]) -> list[bytes]:
        return [answer] if wanted(answer) else []

    monkeypatch.setattr(NetlinkSocket, "dump", dump)
    with NetlinkFlows() as flows:
        assert len(flows.read(Family.IPV4, touching=[ip_address(packed)])) == (packed != STRANGER)


def answer_of(source: bytes, asked: bytes, answering: bytes, status: int, head: int = NESTED | 1) -> bytes:
    """What the kernel tells of a connection of UDP, from port 53 to port 53."""
    tuples = (
        attribute(
            NESTED | which,
            attribute(head, attribute(1, one) + attribute(2, other))
            + attribute(NESTED | 2, attribute(1, b"\x11") + attribute(2, b"\0\x35") + attribute(3, b"\0\x36")),
        )
        for which, one, other in ((1, source, asked), (2, answering, source))
    )
    return b"".join(tuples) + attribute(3, status.to_bytes(4, "big")) + attribute(12, bytes(4))


@pytest.mark.parametrize("head", [NESTED | 1, 1], ids=["usual", "unusual"])
@pytest.mark.parametrize(
    ("answering", "status", "asked"),
    [
        (BACKEND, 0x8, (IPv4Address("10.0.0.2"), 54)),
        (BACKEND, 0x28, None),
        (SERVICE, 0x8, None),
    ],
    ids=["by IPVS", "by a rule", "not at all"],
)
def test_what_was_asked_is_told_where_ipvs_translated_it(
    head: int,
    answering: bytes,
    status: int,
    asked: tuple[IPv4Address, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = answer_of(CLIENT, SERVICE, answering, status, head)
    monkeypatch.setattr(NetlinkSocket, "dump", lambda *_: [answer])
    with NetlinkFlows() as flows:
        (flow,) = flows.read(Family.IPV4)
    assert flow.asked == asked
    assert (flow.destination, flow.port) == (ip_address(answering), 53)


def test_without_a_socket_the_refusal_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(NetlinkSocket, "__init__", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for conntrack: Protocol not supported"):
        NetlinkFlows()


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_socket_that_dies_is_a_refusal_in_words(death: Death, monkeypatch: pytest.MonkeyPatch) -> None:
    bury(monkeypatch, death)
    with NetlinkFlows() as flows:
        with pytest.raises(KernelRefusal, match=f"^the connections cannot be read: .*({death.says})"):
            flows.read(Family.IPV4)
        with pytest.raises(KernelRefusal, match=f"^connections cannot be deleted: .*({death.says})"):
            flows.delete(Family.IPV4, [FLOW])
