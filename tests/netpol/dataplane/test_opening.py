"""The writers are those of the namespace that the thread is in; of the other variant there are only the tables."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from private_network import private_network as new_network

from netpol.compiler.ruleset import IpSet, SetType
from netpol.dataplane.opening import open_kernel, other_tables
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

SET = IpSet("NETPOL-S4-AAAAAAAAAAAAAAAA", SetType.ADDRESSES, Family.IPV4, frozenset({bytes([10, 0, 0, 1])}))
CHAIN = "NETPOL-TCP"


def open_sockets() -> int:
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("variant", Variant)
def test_what_one_namespace_holds_is_not_in_another(variant: Variant, private_network: None) -> None:
    with open_kernel(variant) as here:
        with new_network(), open_kernel(variant) as there:
            there.sets.create([SET])
            there.sets.add(SET, SET.members)
            there.tables.write(Family.IPV4, [f":{CHAIN} - [0:0]"])
            held = there.read(tuple(Family))
            assert held.sets == {SET.name: SET}
            assert held.tables[Family.IPV4].chains == {CHAIN: ()}
        nothing = here.read(tuple(Family))
        assert nothing.sets == {}
        assert nothing.tables[Family.IPV4].chains == {}
        assert not here.flows.read(Family.IPV4)


def test_the_connections_are_those_of_the_namespace(private_network: None) -> None:
    """The kernel follows connections where a rule asks it to."""
    subprocess.run(("iptables-nft", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"), check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", 9))
    with open_kernel(Variant.NFT) as here, new_network(), open_kernel(Variant.NFT) as there:
        assert {flow.port for flow in here.flows.read(Family.IPV4)} == {9}
        assert not there.flows.read(Family.IPV4)


def test_nothing_stays_open(private_network: None) -> None:
    before = open_sockets()
    with open_kernel(Variant.NFT) as kernel:
        assert open_sockets() > before
        kernel.read(tuple(Family))
    assert open_sockets() == before


@pytest.mark.parametrize("variant", Variant)
def test_the_other_tables_are_those_of_the_other_variant(variant: Variant, private_network: None) -> None:
    (other,) = set(Variant) - {variant}
    with open_kernel(other) as earlier:
        earlier.tables.write(Family.IPV6, [f":{CHAIN} - [0:0]"])
    with open_kernel(variant) as kernel:
        assert kernel.tables.read(Family.IPV6).chains == {}
    found = other_tables(variant)
    assert set(found) == {other}
    assert found[other].read(Family.IPV6).chains == {CHAIN: ()}
