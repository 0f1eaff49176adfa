"""The flags of the service proxy, written as kube-router's users write them."""

from __future__ import annotations

import argparse

import pytest

from netpol.command import run
from netpol.command.proxy_arguments import PROXY_FLAGS, add_proxy_arguments, proxy_settings
from netpol.model.networks import parse_network
from netpol.model.ports import PortRange
from netpol.settings import AddressRanges, ConnectionTimeouts, ProxySettings


def settings(*words: str) -> ProxySettings:
    parser = argparse.ArgumentParser(exit_on_error=False)
    run.add_arguments(parser)
    return proxy_settings(parser.parse_args(words))


def test_all_that_is_not_said_has_a_default() -> None:
    assert settings() == ProxySettings(
        sync_period_seconds=30,
        cluster_cidrs=(),
        masquerade_all=False,
        hairpin=False,
        permit_all=True,
        node_ports_on_all_addresses=False,
        graceful_seconds=30,
        excluded=(),
        ranges=AddressRanges(
            cluster=(parse_network("10.96.0.0/12"),),
            external=(),
            load_balancer=(),
            node_ports=PortRange(30000, 32767),
            strict=True,
        ),
        timeouts=ConnectionTimeouts(tcp=None, tcp_fin=None, udp=None),
    )


def test_all_may_be_said() -> None:
    words = (
        *("--masquerade-all", "--hairpin-mode=true", "--ipvs-permit-all=false", "--nodeport-bindon-all-ip"),
        *("--ipvs-sync-period=5s", "--ipvs-graceful-termination", "--ipvs-graceful-period", "1m"),
        *("--cluster-cidr=10.20.0.0/16,fd00:20::/56", "--excluded-cidrs=192.0.2.0/24"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--service-cluster-ip-range", "fd00:96::/112"),
        *("--service-external-ip-range=198.51.100.0/24,203.0.113.0/24", "--loadbalancer-ip-range=192.0.2.128/25"),
        *("--service-node-port-range=20000-20100", "--strict-external-ip-validation=false"),
        *("--service-tcp-timeout=15m", "--service-tcpfin-timeout=1m30s", "--service-udp-timeout=300s"),
    )
    assert settings(*words) == ProxySettings(
        sync_period_seconds=5,
        cluster_cidrs=(parse_network("10.20.0.0/16"), parse_network("fd00:20::/56")),
        masquerade_all=True,
        hairpin=True,
        permit_all=False,
        node_ports_on_all_addresses=True,
        graceful_seconds=60,
        excluded=(parse_network("192.0.2.0/24"),),
        ranges=AddressRanges(
            cluster=(parse_network("10.96.0.0/16"), parse_network("fd00:96::/112")),
            external=(parse_network("198.51.100.0/24"), parse_network("203.0.113.0/24")),
            load_balancer=(parse_network("192.0.2.128/25"),),
            node_ports=PortRange(20000, 20100),
            strict=False,
        ),
        timeouts=ConnectionTimeouts(tcp=900, tcp_fin=90, udp=300),
    )


@pytest.mark.parametrize("text", ["30000-32767", "30000:32767"])
def test_node_ports_are_written_in_the_form_of_today_or_of_old(text: str) -> None:
    assert settings(f"--service-node-port-range={text}").ranges.node_ports == PortRange(30000, 32767)


@pytest.mark.parametrize("words", [["--ipvs-graceful-termination=false"], ["--ipvs-graceful-period=0"]])
def test_connections_may_end_with_their_endpoint(words: list[str]) -> None:
    assert settings(*words).graceful_seconds == 0
    assert settings(*words, "--ipvs-graceful-termination=false").graceful_seconds == 0


def test_a_part_of_a_second_is_one_more_and_none_is_the_kernels_own() -> None:
    told = settings("--service-tcp-timeout=0s", "--service-tcpfin-timeout=1ms", "--service-udp-timeout=90500ms")
    assert told.timeouts == ConnectionTimeouts(tcp=None, tcp_fin=1, udp=91)


def test_a_list_of_nothing_is_none() -> None:
    assert settings("--excluded-cidrs=", "--loadbalancer-ip-range=").excluded == ()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--masquerade-all=perhaps", "neither true nor false"),
        ("--ipvs-sync-period=0s", "not greater than 0"),
        ("--ipvs-graceful-period=30", "no length of time"),
        ("--ipvs-graceful-period=9999999999h", "longer than 292 years"),
        ("--service-tcp-timeout=600h", "longer than 2147483s"),
        ("--excluded-cidrs=192.0.2.1", "not a CIDR"),
        ("--service-node-port-range=32767-30000", "no range of ports such as 30000-32767"),
        ("--service-node-port-range=0-100", "no range of ports"),
        ("--service-node-port-range=30000-65536", "no range of ports"),
        ("--service-node-port-range=30000", "no range of ports"),
    ],
)
def test_a_value_that_is_none_is_refused(word: str, says: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_proxy_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match=says):
        parser.parse_args([word])


def test_only_the_flags_that_were_given_are_kept() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_proxy_arguments(parser)
    assert vars(parser.parse_args([])) == {}
    assert vars(parser.parse_args(["--masquerade-all"])) == {"masquerade_all": True}


def test_every_flag_is_one_of_the_proxys() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_proxy_arguments(parser)
    assert {action.option_strings[0] for action in parser._actions} == PROXY_FLAGS
    assert len(PROXY_FLAGS) == 16
