"""The flags of the agent that stays, and the settings they make."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from netpol.command import run
from netpol.command.agent_arguments import agent_settings
from netpol.command.kube_router import without_effect
from netpol.errors import UsageError
from netpol.model.networks import parse_network
from netpol.model.policies import Semantics
from netpol.settings import (
    AgentSettings,
    ApiSource,
    DirectorySource,
    Listener,
    NetworkPolicyApi,
    NodeOptions,
    PolicyOptions,
    ProxySettings,
    Variant,
)

DAEMON_SET = (
    *("--run-router=false", "--run-firewall=false", "--run-service-proxy=true"),
    *("--kubeconfig=/var/lib/kube-router/kubeconfig", "--masquerade-all"),
    *("--ipvs-sync-period=5s", "--iptables-sync-period=10s", "--cluster-cidr=10.20.0.0/16", "--metrics-port=80"),
)
"""The arguments that kube-router is deployed with beside flannel, for its service proxy."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of kube-router's container."""
    monkeypatch.setenv("NODE_NAME", "worker-1")
    monkeypatch.setenv("KUBE_ROUTER_CNI_CONF_FILE", "/etc/cni/net.d/10-kuberouter.conflist")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    run.add_arguments(parser)
    return parser.parse_args(words)


def settings(*words: str) -> AgentSettings:
    return agent_settings(parsed(*words))


RANGE = parse_network("10.20.0.0/16")
DAEMON_SETS_SETTINGS = AgentSettings(
    NodeOptions("worker-1", pod_cidrs=(RANGE,)),
    ApiSource(Path("/var/lib/kube-router/kubeconfig")),
    sync_period_seconds=10,
    metrics=Listener(80),
    health=Listener(20244),
    firewall=False,
    proxy=ProxySettings(sync_period_seconds=5, cluster_cidrs=(RANGE,), masquerade_all=True),
)


def started(words: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> AgentSettings:
    """What the agent is started with."""
    started: list[AgentSettings] = []
    monkeypatch.setattr(run, "run_agent", started.append)
    monkeypatch.setattr(run, "require_root", lambda _: None)
    run.run(parsed(*words))
    (settings,) = started
    return settings


def test_the_daemon_set_of_kube_router_is_run_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(DAEMON_SET, monkeypatch) == DAEMON_SETS_SETTINGS
    assert capsys.readouterr().err == ""


def test_the_daemon_set_with_the_firewall_in_place_of_the_proxy_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = {"--run-firewall=false": "--run-firewall=true", "--run-service-proxy=true": "--run-service-proxy=false"}
    words = [turned.get(word, word) for word in DAEMON_SET]
    assert started(words, monkeypatch) == replace(DAEMON_SETS_SETTINGS, firewall=True, proxy=None)
    assert without_effect(parsed(*words)) == "--ipvs-sync-period, --masquerade-all (no service proxy runs)"


def test_both_are_run_where_both_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    both = started((*DAEMON_SET, "--run-firewall"), monkeypatch)
    assert both == replace(DAEMON_SETS_SETTINGS, firewall=True)


def test_the_firewall_alone_is_what_runs_where_nothing_is_said() -> None:
    plain = settings("--source=dir")
    assert (plain.firewall, plain.proxy) == (True, None)


def test_with_neither_nothing_is_left_to_run() -> None:
    with pytest.raises(UsageError, match="--run-firewall and --run-service-proxy are both false"):
        settings("--source=dir", "--run-firewall=false")


def test_all_that_is_not_said_has_a_default() -> None:
    assert settings("--source", "dir") == AgentSettings(NodeOptions("worker-1"), DirectorySource(Path("dir")))


def test_all_may_be_said() -> None:
    words = (
        *("--kubeconfig", "k", "--master", "https://10.0.0.1:6443", "--network-policy-api", "extensions/v1beta1"),
        *("--hostname-override", "n1", "--pod-cidr", "10.0.0.0/24", "--enable-ipv6=false", "--fail-open"),
        *("--v1beta1-semantics=v1", "--strict-annotations", "--synthesise-namespace-name-label=true"),
        *("--iptables-sync-period", "1m30s", "--cache-sync-timeout=5m", "--cleanup-on-exit"),
        *("--metrics-port", "9100", "--metrics-path", "/m", "--metrics-addr", "127.0.0.1"),
        *("--health-port", "9101", "--health-addr", "::1", "--iptables-variant=legacy", "-v", "2"),
    )
    node = NodeOptions("n1", NodeOptions("n1").families[:1], (parse_network("10.0.0.0/24"),), fail_open=True)
    assert settings(*words) == AgentSettings(
        node,
        ApiSource(Path("k"), "https://10.0.0.1:6443", NetworkPolicyApi.V1BETA1, synthesise_name_label=True),
        PolicyOptions(Semantics.V1, strict_annotations=True),
        sync_period_seconds=90,
        cache_sync_timeout_seconds=300,
        metrics=Listener(9100, "127.0.0.1"),
        metrics_path="/m",
        health=Listener(9101, "::1"),
        cleanup_on_exit=True,
        variant=Variant.LEGACY,
        verbosity=2,
    )


@pytest.mark.parametrize(
    ("words", "level"),
    [([], 0), (["-v", "2"], 2), (["-v=2"], 2), (["-v2"], 2), (["--v=2"], 2), (["--v", "2"], 2), (["-v"], 1)],
)
def test_the_level_is_written_in_any_way_that_go_reads(words: list[str], level: int) -> None:
    assert settings("--source=dir", *words).verbosity == level


def test_what_is_said_twice_is_what_was_said_last() -> None:
    assert settings("--source=dir", "--metrics-port=1", "--metrics-port=2").metrics == Listener(2)


def test_port_0_is_nowhere() -> None:
    nowhere = settings("--source=dir", "--metrics-port=0", "--health-port=0")
    assert (nowhere.metrics, nowhere.health) == (None, None)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--metrics-port", "-1"),
        ("--metrics-port", "65536"),
        ("--health-port", "http"),
        ("--health-port", ""),
        ("--metrics-addr", "localhost"),
        ("--health-addr", "10.0.0.0/8"),
        ("--metrics-path", "metrics"),
        ("--iptables-sync-period", "0s"),
        ("--cache-sync-timeout", "60"),
        ("--v", "much"),
        ("--v", "-1"),
    ],
)
def test_a_value_that_is_none_is_refused_by_the_flags_name(flag: str, value: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=f"{flag}: '{value}' "):
        parsed("--source=dir", f"{flag}={value}")
