"""Peers under the annotation (B10, B11) and of v1 (V4, V5): each is understood or matches nothing (M7)."""

from __future__ import annotations

import pytest
from builders import selector

from netpol.model.labels import EVERYTHING
from netpol.model.networks import IPBlock, parse_network
from netpol.model.policies import Peer, PodPeer, Semantics
from netpol.source.fields import Reading
from netpol.source.peers import decode_peer

BETA, V1 = Semantics.ANNOTATION, Semantics.V1
WEB = {"matchLabels": {"app": "web"}}
TEAM = {"matchLabels": {"team": "a"}}


def decoded(value: object, semantics: Semantics = V1) -> tuple[Peer | None, list[str]]:
    reading = Reading()
    return decode_peer(value, ("from", 0), "x", semantics, reading), list(map(str, reading.problems))


def block(cidr: object, *holes: object) -> dict[str, object]:
    return {"ipBlock": {"cidr": cidr, "except": list(holes)}}


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize(
    ("value", "peer"),
    [
        ({"podSelector": WEB}, PodPeer(selector("app=web"), "x")),
        ({"podSelector": {}}, PodPeer(EVERYTHING, "x")),
        ({"podSelector": {}, "namespaceSelector": None, "ipBlock": None}, PodPeer(EVERYTHING, "x")),
        ({"namespaceSelector": TEAM}, PodPeer(namespace_selector=selector("team=a"))),
        ({"namespaceSelector": {}, "podSelector": None}, PodPeer(namespace_selector=EVERYTHING)),
    ],
)
def test_one_selector_names_a_peer_of_either_api(semantics: Semantics, value: object, peer: Peer) -> None:
    assert decoded(value, semantics) == (peer, [])


def test_two_selectors_are_both_needed_in_v1_and_match_nothing_under_the_annotation() -> None:
    both = {"podSelector": WEB, "namespaceSelector": TEAM}
    assert decoded(both) == (PodPeer(selector("app=web"), None, selector("team=a")), [])
    peer, [problem] = decoded(both, BETA)
    assert peer is None
    assert "has both a podSelector and a namespaceSelector" in problem


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "web",
        {},
        {"podSelector": None},
        {"podSelectors": {}},
        {"podSelector": {}, "namespace": "x"},
        {"podSelector": []},
        {"podSelector": ""},
        {"podSelector": {"matchLabel": {}}},
        {"namespaceSelector": {"matchLabels": {"a": 1}}},
        {"namespaceSelector": {"matchExpressions": [{}]}},
    ],
)
def test_what_names_no_peer_matches_nothing(semantics: Semantics, value: object) -> None:
    peer, problems = decoded(value, semantics)
    assert peer is None
    assert problems


def test_one_unreadable_selector_of_two_leaves_no_peer() -> None:
    assert decoded({"podSelector": {"?": 1}, "namespaceSelector": {}})[0] is None
    assert decoded({"podSelector": {}, "namespaceSelector": 5})[0] is None


@pytest.mark.parametrize(
    ("value", "text", "holes"),
    [
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, "10.0.0.0/8", []),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": None}}, "10.0.0.0/8", []),
        (block("10.0.0.0/8", "10.1.0.0/16", "10.2.3.4/32"), "10.0.0.0/8", ["10.1.0.0/16", "10.2.3.4/32"]),
        (block("10.1.2.3/8", "10.1.2.3/16"), "10.0.0.0/8", ["10.1.0.0/16"]),
        (block("010.0.0.0/8"), "10.0.0.0/8", []),
        (block("0.0.0.0/0", "0.0.0.0/1"), "0.0.0.0/0", ["0.0.0.0/1"]),
        (block("fd00::1/8", "fd00:1::/32"), "fd00::/8", ["fd00:1::/32"]),
    ],
)
def test_blocks_with_host_bits_masked(value: object, text: str, holes: list[str]) -> None:
    assert decoded(value) == (IPBlock(parse_network(text), frozenset(map(parse_network, holes))), [])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"ipBlock": []}, "from[0].ipBlock: must be an IP block, not a list"),
        ({"ipBlock": {}}, "from[0].ipBlock.cidr: is missing"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "exept": []}}, "from[0].ipBlock.exept: is no field known here"),
        (block("10.0.0.0"), "from[0].ipBlock.cidr: '10.0.0.0' is no CIDR"),
        (block("10.0.0.0/33"), "from[0].ipBlock.cidr: '10.0.0.0/33' is no CIDR"),
        (block("::ffff:10.0.0.0/90"), "from[0].ipBlock.cidr: '::ffff:10.0.0.0/90' is no CIDR"),
        (block(10), "from[0].ipBlock.cidr: 10 is no CIDR"),
        (block("10.0.0.0/8", "x"), "from[0].ipBlock.except[0]: 'x' is no CIDR"),
        (block("10.0.0.0/8", None), "from[0].ipBlock.except[0]: is missing"),
        (
            block("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16"),
            "from[0].ipBlock.except[1]: '11.0.0.0/16' does not lie strictly inside 10.0.0.0/8",
        ),
        (
            block("10.0.0.0/8", "10.0.0.0/8"),
            "from[0].ipBlock.except[0]: '10.0.0.0/8' does not lie strictly inside 10.0.0.0/8",
        ),
        (
            block("10.0.0.0/8", "0.0.0.0/0"),
            "from[0].ipBlock.except[0]: '0.0.0.0/0' does not lie strictly inside 10.0.0.0/8",
        ),
        (
            block("10.0.0.0/8", "fd00::/32"),
            "from[0].ipBlock.except[0]: 'fd00::/32' does not lie strictly inside 10.0.0.0/8",
        ),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": "10.1.0.0/16"}},
            "from[0].ipBlock.except: must be a list, not '10.1.0.0/16'",
        ),
        (
            block("10.0.0.0/8") | {"podSelector": {}},
            "from[0]: has an ipBlock and a podSelector; an ipBlock stands alone",
        ),
        (
            block("10.0.0.0/8") | {"namespaceSelector": {}},
            "from[0]: has an ipBlock and a namespaceSelector; an ipBlock stands alone",
        ),
    ],
)
def test_a_block_with_anything_odd_matches_nothing(value: object, problem: str) -> None:
    assert decoded(value) == (None, [problem])


def test_under_the_annotation_a_block_is_ignored_and_alone_is_no_peer() -> None:
    ignored = "from[0].ipBlock: is ignored: no peer of a policy under the namespace annotation has one"
    assert decoded(block("10.0.0.0/8"), BETA) == (None, [ignored, "from[0]: names no peer known here"])
    assert decoded(block("10.0.0.0/8") | {"podSelector": WEB}, BETA) == (PodPeer(selector("app=web"), "x"), [ignored])
