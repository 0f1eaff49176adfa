"""Which addresses nodes get, and by which address a node is its pods' gateway."""

from __future__ import annotations

from builders import address, node

from netpol.lab.topology import Outside, gateways, of_family, with_wire_addresses
from netpol.model.networks import Family


def test_a_node_keeps_its_addresses_and_gets_those_of_the_missing_family() -> None:
    both, four, none = with_wire_addresses([node("a", "10.0.0.1", "fd00::1"), node("b", "10.0.0.2"), node("c")])
    assert both == node("a", "10.0.0.1", "fd00::1")
    assert four == node("b", "10.0.0.2", "fd31:255::2")
    assert none == node("c", "172.31.255.3", "fd31:255::3")


def test_the_gateway_is_the_first_address_of_the_first_range_of_each_family() -> None:
    ranges = ("10.1.0.0/24", "10.2.0.0/24", "fd01::/64")
    assert gateways(node("a", pod_cidrs=ranges)) == {
        Family.IPV4: address("10.1.0.1"),
        Family.IPV6: address("fd01::1"),
    }
    assert gateways(node("a")) == {}


def test_the_first_address_of_a_family() -> None:
    addresses = (address("fd00::1"), address("10.0.0.1"), address("10.0.0.2"))
    assert of_family(addresses, Family.IPV4) == address("10.0.0.1")
    assert of_family(addresses[1:], Family.IPV6) is None


def test_a_host_outside_is_called_so() -> None:
    assert str(Outside("client", ())) == "outside/client"
