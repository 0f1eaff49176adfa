"""All that is ours goes, of the firewall and of the service proxy, and what is somebody else's stays."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address

import pytest
from builders import namespace, node, pod, policy, world
from proxy_builders import server

from netpol.agent.clearing import Owners, clear_all
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort
from netpol.control.programming import Programming, program
from netpol.dataplane.clearing import Cleared
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.opening import open_kernel
from netpol.model.networks import Family
from netpol.settings import NodeOptions, ProxySettings, Variant
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.links import DummyLink
from proxy.model import AddServer, Scheduling
from proxy.names import owned_set
from proxy.ownership import SERVICE_PROXY
from proxy.services.engine import ProxyEngine

WORLD = world(namespace("x"), node("n1", "192.0.2.1"), pod("x/a", "10.0.0.2", node="n1"), policy("x/p"))
OPTIONS = NodeOptions("n1")
OURS, FOREIGN = server("10.96.0.10:80/TCP"), server("198.51.100.1:80/TCP")


def enforce(variant: Variant) -> None:
    """The firewall's part of the kernel is programmed."""
    with open_kernel(variant) as kernel:
        program(Programming(WORLD, compile_ruleset(WORLD, OPTIONS), "n1"), kernel)


def serve() -> None:
    """The proxy's part has a server, an address and all sets, beside a server of somebody else."""
    sets = ProxyEngine("n1", tuple(Family), ProxySettings()).sets()
    with NetlinkSets(ownership=SERVICE_PROXY) as writer, NetlinkServers() as servers, DummyLink() as link:
        held = writer.read()
        writer.create(each for name, each in sets.items() if name not in held)
        record = AddressPort(OURS.address.packed, OURS.protocol, OURS.port, "shop/web:http cluster")
        writer.add(sets[owned_set(Family.IPV4)], [record])
        servers.apply([AddServer(key, Scheduling()) for key in (OURS, FOREIGN)])
        link.ensure()
        link.bind([OURS.address])


def left(ownership: str = "NETPOL") -> list[str]:
    """The sets that are there by now."""
    names = subprocess.run(("ipset", "list", "-n"), check=True, capture_output=True, text=True).stdout.split()
    return [name for name in names if name.startswith(ownership)]


@pytest.mark.kernel
def test_a_host_that_only_has_the_firewall_loses_that(private_network: None) -> None:
    enforce(Variant.NFT)
    removed = clear_all(tuple(Variant))
    assert removed.chains > 0
    assert removed.sets > 0
    assert (removed.servers, removed.addresses, removed.left) == (0, 0, ())
    assert left() == []
    assert clear_all(tuple(Variant)) == Cleared()
    assert str(clear_all(tuple(Variant))) == "nothing of ours was there"


@pytest.mark.vm
def test_a_link_of_the_same_name_that_nothing_of_ours_tells_of_stays(private_network: None) -> None:
    """kube-router has one."""
    with DummyLink() as link:
        link.ensure()
        link.bind([OURS.address])
        assert clear_all((Variant.LEGACY,)) == Cleared()
        assert link.read() == frozenset({ip_address("10.96.0.10")})


@pytest.mark.vm
def test_what_both_have_goes_together_and_virtual_servers_of_others_stay(private_network: None) -> None:
    enforce(Variant.LEGACY)
    serve()
    assert services_set(Family.IPV4) in left()
    removed = clear_all((Variant.LEGACY,))
    assert (removed.servers, removed.addresses, removed.left) == (1, 1, ())
    assert str(removed).endswith(" sets removed, 1 virtual servers, 1 service addresses")
    assert left() == []
    assert not any(IptablesTables(Variant.LEGACY).read(family).chains for family in Family)
    with NetlinkServers() as servers, DummyLink() as link:
        assert servers.read().keys() == {FOREIGN}
        assert link.read() is None


def members(name: str) -> list[str]:
    """What the set holds."""
    saved = subprocess.run(("ipset", "save", name), check=True, capture_output=True, text=True).stdout
    return [line.split()[2] for line in saved.splitlines() if line.startswith("add ")]


@pytest.mark.kernel
@pytest.mark.parametrize("variant", Variant)
def test_the_firewall_alone_goes_and_what_is_served_is_remembered(private_network: None, variant: Variant) -> None:
    """X5: one that comes back knows at once what is sent on, and judges it there."""
    enforce(variant)
    with NetlinkSets(ownership=SERVICE_PROXY) as writer:
        sets = ProxyEngine("n1", tuple(Family), ProxySettings()).sets()
        held = writer.read()
        writer.create(each for name, each in sets.items() if name not in held)
        writer.add(sets[services_set(Family.IPV4)], [AddressPort(OURS.address.packed, OURS.protocol, OURS.port)])
    removed = clear_all((variant,), Owners.FIREWALL)
    assert (removed.left, removed.chains > 0) == ((), True)
    assert set(left()) == set(sets)
    assert members(services_set(Family.IPV4)) == ["10.96.0.10,tcp:80"]
    assert clear_all((variant,)).left == ()
    assert left() == []


@pytest.mark.kernel
@pytest.mark.parametrize("variant", Variant)
def test_the_service_proxy_alone_goes_and_the_firewall_judges_where_packets_come_in(
    private_network: None, variant: Variant
) -> None:
    enforce(variant)
    with open_kernel(variant) as kernel:
        chains = kernel.tables.read(Family.IPV4).chains
        kernel.sets.add(
            kernel.sets.read()[services_set(Family.IPV4)],
            [AddressPort(OURS.address.packed, OURS.protocol, OURS.port)],
        )
    removed = clear_all((variant,), Owners.SERVICE_PROXY)
    assert (removed.chains, removed.left) == (0, ())
    with open_kernel(variant) as kernel:
        assert kernel.tables.read(Family.IPV4).chains == chains
    assert members(services_set(Family.IPV4)) == []
