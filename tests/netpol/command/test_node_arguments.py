from __future__ import annotations

import argparse
import socket

import pytest

from netpol.command.node_arguments import add_node_arguments, node_options
from netpol.errors import UsageError
from netpol.model.networks import Family, parse_network
from netpol.settings import NodeOptions


def options(*words: str) -> NodeOptions:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_node_arguments(parser)
    return node_options(parser.parse_args(words))


@pytest.fixture(autouse=True)
def _a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "Host-1.Example")


def test_the_node_is_called_like_the_host_as_kubelet_has_it() -> None:
    assert options() == NodeOptions("host-1.example")


def test_the_environment_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_NAME", "n2")
    assert options().name == "n2"
    assert options("--hostname-override", "n3").name == "n3"


def test_an_empty_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_NAME", "")
    assert options("--hostname-override", "").name == "host-1.example"


def test_a_second_node_is_refused() -> None:
    with pytest.raises(argparse.ArgumentError, match="--hostname-override: may be given only once"):
        options("--hostname-override", "n1", "--hostname-override", "n2")


@pytest.mark.parametrize(
    ("words", "families"),
    [
        ([], tuple(Family)),
        (["--enable-ipv4=false"], (Family.IPV6,)),
        (["--enable-ipv6=false"], (Family.IPV4,)),
        (["--enable-ipv4", "--enable-ipv6"], tuple(Family)),
    ],
)
def test_families_are_on_until_they_are_turned_off(words: list[str], families: tuple[Family, ...]) -> None:
    assert options(*words).families == families


def test_no_family_at_all_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="both false"):
        options("--enable-ipv4=false", "--enable-ipv6=0")


def test_ranges_add_up() -> None:
    found = options("--pod-cidr", "10.0.0.7/24", "--pod-cidr", "fd00::/64")
    assert found.pod_cidrs == (parse_network("10.0.0.0/24"), parse_network("fd00::/64"))


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "x/8", ""])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="--pod-cidr"):
        options("--pod-cidr", text)


@pytest.mark.parametrize(
    ("words", "ranges"),
    [
        (["--cluster-cidr=10.0.0.0/8,fd00::/48"], ["10.0.0.0/8", "fd00::/48"]),
        (["--cluster-cidr", "10.0.0.0/8", "--cluster-cidr", "fd00::/48"], ["10.0.0.0/8", "fd00::/48"]),
        (["--cluster-cidr=10.0.0.0/8,fd00::/48", "--pod-cidr=10.1.0.0/24"], ["10.1.0.0/24", "fd00::/48"]),
        (["--cluster-cidr="], []),
    ],
)
def test_g12_the_clusters_range_stands_for_a_range_the_node_is_not_known_to_have(
    words: list[str], ranges: list[str]
) -> None:
    assert options(*words).pod_cidrs == tuple(map(parse_network, ranges))


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/8,", ",", "10.0.0.0/8;fd00::/48"])
def test_a_clusters_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="--cluster-cidr"):
        options(f"--cluster-cidr={text}")


def test_it_fails_closed_until_told_otherwise() -> None:
    """G12."""
    assert (options().fail_open, options("--fail-open").fail_open) == (False, True)
