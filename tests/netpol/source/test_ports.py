"""Port entries (B9, V6), which match nothing where any part of them is odd (V8)."""

from __future__ import annotations

import pytest
from builders import port

from netpol.model.policies import Semantics
from netpol.model.ports import PortEntry
from netpol.source.fields import Reading
from netpol.source.ports import decode_port, is_port, is_port_name

BETA, V1 = Semantics.ANNOTATION, Semantics.V1


def decoded(value: object, semantics: Semantics = V1) -> tuple[PortEntry | None, list[str]]:
    reading = Reading()
    return decode_port(value, ("ports", 0), semantics, reading), list(map(str, reading.problems))


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "*/TCP"),
        ({"protocol": None, "port": None}, "*/TCP"),
        ({"protocol": "UDP"}, "*/UDP"),
        ({"port": 80}, "80/TCP"),
        ({"protocol": "UDP", "port": 65535}, "65535/UDP"),
        ({"port": "http"}, "http/TCP"),
        ({"protocol": "UDP", "port": "dns-2"}, "dns-2/UDP"),
    ],
)
def test_entries_of_both_apis(semantics: Semantics, value: object, text: str) -> None:
    assert decoded(value, semantics) == (port(text), [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"protocol": "SCTP"}, "*/SCTP"),
        ({"port": 80, "endPort": 80}, "80/TCP"),
        ({"port": 80, "endPort": None}, "80/TCP"),
        ({"protocol": "SCTP", "port": 1, "endPort": 65535}, "1-65535/SCTP"),
    ],
)
def test_entries_of_later_releases(value: object, text: str) -> None:
    assert decoded(value) == (port(text), [])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "ports[0]: must be a port entry, not null"),
        (80, "ports[0]: must be a port entry, not 80"),
        ([], "ports[0]: must be a port entry, not a list"),
        ({"ports": 80}, "ports[0].ports: is no field known here"),
        ({"port": 80, "endport": 90}, "ports[0].endport: is no field known here"),
        ({"protocol": "tcp"}, "ports[0].protocol: must be TCP or UDP or SCTP, not 'tcp'"),
        ({"protocol": "ICMP"}, "ports[0].protocol: must be TCP or UDP or SCTP, not 'ICMP'"),
        ({"protocol": ""}, "ports[0].protocol: must be TCP or UDP or SCTP, not ''"),
        ({"protocol": 6}, "ports[0].protocol: must be TCP or UDP or SCTP, not 6"),
        ({"protocol": ["TCP"]}, "ports[0].protocol: must be TCP or UDP or SCTP, not a list"),
        ({"port": 0}, "ports[0].port: must be a port from 1 to 65535 or a port's name, not 0"),
        ({"port": 65536}, "ports[0].port: must be a port from 1 to 65535 or a port's name, not 65536"),
        ({"port": True}, "ports[0].port: must be a port from 1 to 65535 or a port's name, not true"),
        ({"port": 80.0}, "ports[0].port: must be a port from 1 to 65535 or a port's name, not 80.0"),
        ({"port": {}}, "ports[0].port: must be a port from 1 to 65535 or a port's name, not a mapping"),
        ({"port": "80"}, "ports[0].port: '80' is no name of a port"),
        ({"port": ""}, "ports[0].port: '' is no name of a port"),
        ({"port": "HTTP"}, "ports[0].port: 'HTTP' is no name of a port"),
        ({"endPort": 90}, "ports[0].endPort: needs a port to start from"),
        ({"port": "http", "endPort": 90}, "ports[0].endPort: needs a port by number, not by name"),
        ({"port": 80, "endPort": 79}, "ports[0].endPort: must be a port from 80 to 65535, not 79"),
        ({"port": 80, "endPort": 65536}, "ports[0].endPort: must be a port from 80 to 65535, not 65536"),
        ({"port": 80, "endPort": "90"}, "ports[0].endPort: must be a port from 80 to 65535, not '90'"),
        ({"port": 80, "endPort": True}, "ports[0].endPort: must be a port from 80 to 65535, not true"),
    ],
)
def test_an_odd_entry_matches_nothing(value: object, problem: str) -> None:
    assert decoded(value) == (None, [problem])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"protocol": "SCTP"}, "ports[0].protocol: must be TCP or UDP, not 'SCTP'"),
        ({"port": 80, "endPort": 90}, "ports[0].endPort: is no field known here"),
        ({"port": 80, "endPort": None}, "ports[0].endPort: is no field known here"),
    ],
)
def test_what_only_later_releases_know_matches_nothing_under_the_annotation(value: object, problem: str) -> None:
    assert decoded(value, BETA) == (None, [problem])


def test_ports_are_integers_in_range() -> None:
    assert is_port(1)
    assert is_port(65535)
    assert not any(map(is_port, [0, 65536, -1, True, 1.0, "80", None]))


def test_port_names_are_service_names() -> None:
    assert all(map(is_port_name, ["http", "a", "0a", "serve-80-tcp", "a" * 15]))
    assert not any(map(is_port_name, ["", "80", "8-0", "a" * 16, "a--b", "-a", "a-", "A", "a_b", "a\n", "é"]))
