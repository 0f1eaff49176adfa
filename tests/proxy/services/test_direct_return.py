"""Which services may be answered past this node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address
from proxy_builders import endpoint, group, server, service

from netpol.model.networks import Family
from netpol.model.services import EndpointGroup, Service
from netpol.settings import ProxySettings
from proxy.claims.claims import Claims
from proxy.model import ServerMark
from proxy.names import MARK_BASE, MARK_MASK
from proxy.services.direct_return import DirectReturns, Wish, mark_of, wish_of

FRONT = replace(
    service("web/front", "10.96.0.1", ports="http=80:30080/TCP 443/TCP", external="192.0.2.9"), direct_return=True
)
ALIKE = server("192.0.2.1:1080/TCP"), server("192.0.2.2:1251/TCP")
ALIKE_AT_ONE_ADDRESS = server("192.0.2.1:880/TCP"), server("192.0.2.1:20162/TCP")
A, B, C, D = (("web", name) for name in "abcd")


def wished(asked: Service, *groups: EndpointGroup, families: tuple[Family, ...] = tuple(Family)) -> Wish:
    claims = Claims(ProxySettings())
    claims.put((asked.namespace, asked.name), asked)
    return wish_of(asked, groups, claims.granted((asked.namespace, asked.name)), families)


def asking(*servers: str, obstacle: str = "") -> Wish:
    """To be answered directly for these."""
    keys = frozenset(map(server, servers))
    return Wish(frozenset(key.address for key in keys), keys, obstacle)


def having(*addresses: str) -> Wish:
    """To have these addresses, and be translated."""
    return Wish(frozenset(map(address, addresses)))


# --- marks


def test_a_mark_is_of_ours_and_of_the_family() -> None:
    found = mark_of(server("[2001:db8::1]:80/UDP"))
    assert found.family is Family.IPV6
    assert found.mark & MARK_MASK == MARK_BASE


@pytest.mark.parametrize("other", ["192.0.2.2:80/TCP", "192.0.2.1:81/TCP", "192.0.2.1:80/UDP"])
def test_another_server_has_another_mark_as_a_rule(other: str) -> None:
    assert mark_of(server("192.0.2.1:80/TCP")) != mark_of(server(other))


def test_but_not_always() -> None:
    assert mark_of(ALIKE[0]) == mark_of(ALIKE[1]) == ServerMark(Family.IPV4, 0x4E405361)
    assert len({*map(mark_of, ALIKE_AT_ONE_ADDRESS)}) == 1


# --- what a service wishes


def test_it_is_about_addresses_from_outside() -> None:
    assert wished(FRONT) == asking("192.0.2.9:80/TCP", "192.0.2.9:443/TCP")
    assert wished(replace(FRONT, external_addresses=())) == Wish()


def test_addresses_count_for_others_where_nothing_is_wished() -> None:
    assert wished(replace(FRONT, direct_return=False)) == having("192.0.2.9")


def test_a_family_that_is_not_served_does_not_count() -> None:
    assert wished(FRONT, families=(Family.IPV6,)) == Wish()


def test_endpoints_have_to_listen_where_clients_ask() -> None:
    front = endpoint("10.1.0.1", "n1")
    assert not wished(FRONT, group(front, ports="http=80/TCP 443/TCP")).obstacle
    assert not wished(FRONT, group(front, ports="http=80/TCP other=8080/TCP http=8080/UDP")).obstacle
    assert not wished(FRONT, group(ports="http=8080/TCP")).obstacle
    assert wished(FRONT, group(front, ports="443/TCP"), group(front, ports="http=8080/TCP")).obstacle == (
        "endpoints of port 80/TCP listen on 8080: a packet goes to them as it is"
    )


# --- what stands in the way


def test_nothing_stands_in_the_way_of_who_has_an_address_alone() -> None:
    returns = DirectReturns()
    assert returns.put(A, asking("192.0.2.1:80/TCP")) == frozenset()
    assert returns.obstacle(A) == ""
    assert returns.obstacle(("web", "nobody")) == ""


def test_what_the_service_says_itself_stands_in_the_way() -> None:
    returns = DirectReturns()
    assert returns.put(A, asking("192.0.2.1:80/TCP", obstacle="its port is another")) == {A}
    assert returns.obstacle(A) == "its port is another"
    assert returns.put(A, asking("192.0.2.1:80/TCP")) == {A}
    assert returns.obstacle(A) == ""


def test_of_two_with_one_mark_the_first_by_name_has_it_whoever_came_first() -> None:
    returns = DirectReturns()
    first, second = (asking(str(each)) for each in ALIKE)
    returns.put(B, first)
    assert returns.put(A, second) == {B}
    assert (returns.obstacle(A), returns.obstacle(B)) == ("", "web/a has its mark")
    assert returns.put(A, None) == {B}
    assert returns.obstacle(B) == ""


def test_one_service_does_not_have_two_servers_of_one_mark() -> None:
    returns = DirectReturns()
    returns.put(A, asking(*map(str, ALIKE_AT_ONE_ADDRESS)))
    assert returns.obstacle(A) == "two of its ports have the same mark"


def test_an_address_that_another_has_translated_is_translated_for_all() -> None:
    returns = DirectReturns()
    returns.put(A, asking("192.0.2.1:80/TCP"))
    returns.put(C, having("192.0.2.2"))
    assert returns.put(B, having("192.0.2.1")) == {A}
    assert returns.obstacle(A) == "web/b, which shares addresses with it, is not answered directly"
    assert returns.obstacle(B) == ""
    assert returns.put(B, having("192.0.2.3")) == {A}
    assert returns.obstacle(A) == ""


def test_services_may_share_an_address_that_all_answer_directly() -> None:
    returns = DirectReturns()
    returns.put(A, asking("192.0.2.1:80/TCP"))
    assert returns.put(B, asking("192.0.2.1:443/TCP")) == frozenset()
    assert (returns.obstacle(A), returns.obstacle(B)) == ("", "")


def test_translation_goes_from_one_shared_address_to_the_next() -> None:
    """As A is translated, so is B for their address; and then B's other address is this node's, which is C's too."""
    returns = DirectReturns()
    returns.put(A, asking("192.0.2.1:80/TCP"))
    returns.put(B, asking("192.0.2.1:81/TCP", "192.0.2.2:81/TCP"))
    returns.put(C, asking("192.0.2.2:80/TCP", "192.0.2.3:80/TCP"))
    returns.put(D, asking("192.0.2.4:80/TCP"))
    assert returns.put(A, asking("192.0.2.1:80/TCP", obstacle="its port is another")) == {A, B, C}
    assert returns.obstacle(A) == "its port is another"
    shared = "web/a, which shares addresses with it, is not answered directly"
    assert (returns.obstacle(B), returns.obstacle(C)) == (shared, shared)
    assert returns.obstacle(D) == ""
    assert returns.put(B, None) == {B, C}
    assert (returns.obstacle(B), returns.obstacle(C)) == ("", "")
    assert returns.put(A, None) == {A}


def test_a_mark_that_is_anothers_stands_in_the_way_of_who_shares_the_address() -> None:
    returns = DirectReturns()
    returns.put(B, asking(str(ALIKE[0])))
    returns.put(C, asking("192.0.2.1:9/TCP"))
    assert returns.put(A, asking(str(ALIKE[1]))) == {B, C}
    assert returns.obstacle(C) == "web/b, which shares addresses with it, is not answered directly"
    assert returns.put(A, None) == {B, C}


def test_the_same_wish_again_concerns_nobody() -> None:
    returns = DirectReturns()
    returns.put(A, asking("192.0.2.1:80/TCP", obstacle="its port is another"))
    assert returns.put(A, asking("192.0.2.1:80/TCP", obstacle="its port is another")) == frozenset()
    assert returns.put(B, None) == frozenset()
