"""Tests of either family, and the addresses at which services are asked in them."""

from __future__ import annotations

import pytest
from vm.service_lab import NODE_ADDRESSES

from netpol.model.networks import Family

FAMILIES = pytest.mark.parametrize("family", list(Family), ids=lambda family: f"IPv{family.value}")

CLUSTER = {Family.IPV4: "10.96.0.10", Family.IPV6: "fd00:96::10"}
EXTERNAL = {Family.IPV4: "203.0.113.10", Family.IPV6: "2001:db8:113::10"}
BALANCER = {Family.IPV4: "203.0.113.20", Family.IPV6: "2001:db8:113::20"}
PRIMARY = dict(zip(Family, NODE_ADDRESSES["one"], strict=True))
"""By which node one is known to all, and where its node ports are."""
GATEWAY = {Family.IPV4: "10.1.0.1", Family.IPV6: "fd01::1"}
"""What node one is to its pods, who are asked under it by whoever is masqueraded."""
IPTABLES = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
NODE_PORT = 30080


def host_of(address: object) -> str:
    """The address as it stands before a port."""
    text = str(address)
    return f"[{text}]" if ":" in text else text
