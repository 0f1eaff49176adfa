"""Links, addresses and routes appear in the namespace they are made in, and only there."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from netpol.dataplane.address_messages import LOOPBACK
from netpol.lab.links import Links
from netpol.lab.namespace import LabError, Namespace


def shown(namespace: Namespace, *what: str) -> str:
    """What `ip` shows of the namespace, each thing on a line."""
    return namespace.run(["ip", "-o", *what]).stdout


@pytest.mark.kernel
def test_a_link_has_its_ends_in_two_namespaces() -> None:
    with Namespace("a") as a, Namespace("b") as b, Links(a) as links, Links(b) as far:
        bridge = links.bridge("br")
        links.veth("left", b, "right", bridge)
        far.up(far.index("right"))
        assert "master br" in shown(a, "link", "show", "left")
        assert "LOWER_UP" in shown(b, "link", "show", "right")
        assert "left" not in shown(b, "link")
        links.remove("left")
        with pytest.raises(LabError, match="b has no link right"):
            far.index("right")


@pytest.mark.kernel
def test_addresses_are_usable_at_once() -> None:
    with Namespace("a") as a, Namespace("b") as b, Links(a) as links:
        link = links.veth("left", b, "right")
        links.up(LOOPBACK)
        links.address(link, ip_address("10.0.0.1"))
        links.address(link, ip_address("fd00::1"), 64)
        assert "10.0.0.1/32" in shown(a, "-4", "addr", "show", "left")
        six = shown(a, "-6", "addr", "show", "left")
        assert "fd00::1/64" in six
        assert "nodad" in six


@pytest.mark.kernel
def test_routes_lead_where_they_were_told_until_they_are_gone() -> None:
    with Namespace("a") as a, Namespace("b") as b, Links(a) as links:
        link = links.veth("left", b, "right")
        with Links(b) as far:
            far.up(far.index("right"))
        links.address(link, ip_address("10.0.0.1"))
        links.address(link, ip_address("fd00::1"))
        for hop, beyond in (("10.9.0.1", "10.8.0.0/16"), ("fd00::9", "fd08::/16")):
            links.route(ip_address(hop), link)
            links.route(ip_network(beyond), link, via=ip_address(hop))
        assert "via 10.9.0.1" in shown(a, "route", "get", "10.8.7.6")
        assert "via fd00::9" in shown(a, "route", "get", "fd08::7")
        links.route(ip_address("10.9.0.2"), link, source=ip_address("10.0.0.1"))
        assert "src 10.0.0.1" in shown(a, "route", "get", "10.9.0.2")
        links.unroute(ip_address("10.9.0.2"))
        assert shown(a, "route", "get", "10.9.0.2") == ""


@pytest.mark.kernel
def test_a_refusal_names_the_namespace_and_what_was_asked() -> None:
    with Namespace("a") as a, Links(a) as links:
        links.bridge("br")
        with pytest.raises(LabError, match=r"^a: add .*'br'.*File exists"):
            links.bridge("br")
