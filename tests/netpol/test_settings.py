"""What a run is told where it is told nothing."""

from __future__ import annotations

import pytest

from netpol.errors import UsageError
from netpol.model.networks import Family
from netpol.model.policies import Semantics
from netpol.settings import (
    AgentSettings,
    ApiSource,
    Listener,
    NetworkPolicyApi,
    NodeOptions,
    PolicyOptions,
    ProxySettings,
    Variant,
)


def test_a_node_has_both_families_and_fails_closed() -> None:
    """G4, G12."""
    options = NodeOptions("n1")
    assert (options.families, options.fail_open, options.pod_cidrs) == ((Family.IPV4, Family.IPV6), False, ())


def test_manifests_are_read_with_the_semantics_of_their_api() -> None:
    """M2, B2."""
    assert PolicyOptions() == PolicyOptions(Semantics.ANNOTATION, strict_annotations=False)


def test_the_variants_are_called_as_in_the_tools_names() -> None:
    assert [f"iptables-{variant.value}-restore" for variant in Variant] == [
        "iptables-nft-restore",
        "iptables-legacy-restore",
    ]


def test_the_live_agent_needs_a_node_and_a_source_and_is_probed_where_kube_router_is() -> None:
    settings = AgentSettings(NodeOptions("n1"), ApiSource())
    assert (settings.metrics, settings.health) == (None, Listener(20244))
    assert (settings.sync_period_seconds, settings.cache_sync_timeout_seconds) == (30, 60)
    assert settings.source == ApiSource(kubeconfig=None, master="", network_policy_api=NetworkPolicyApi.AUTO)


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (Listener(80), Listener(80), True),
        (Listener(80), Listener(80, "127.0.0.1"), True),
        (Listener(80, "127.0.0.1"), Listener(80), True),
        (Listener(80, "::1"), Listener(80, "::1"), True),
        (Listener(80, "127.0.0.1"), Listener(80, "127.0.0.2"), False),
        (Listener(80), Listener(81), False),
    ],
)
def test_one_port_serves_one_thing(one: Listener, other: Listener, clash: bool) -> None:
    assert one.clashes(other) is clash
    if clash:
        with pytest.raises(UsageError, match="--metrics-port and --health-port are both 80"):
            AgentSettings(NodeOptions("n1"), ApiSource(), metrics=one, health=other)
    else:
        assert AgentSettings(NodeOptions("n1"), ApiSource(), metrics=one, health=other).metrics == one


def test_the_firewall_runs_where_nothing_is_said_and_the_proxy_where_it_is_told_how() -> None:
    plain = AgentSettings(NodeOptions("n1"), ApiSource())
    assert (plain.firewall, plain.proxy) == (True, None)
    alone = AgentSettings(NodeOptions("n1"), ApiSource(), firewall=False, proxy=ProxySettings())
    assert alone.proxy == ProxySettings(sync_period_seconds=30, graceful_seconds=30, permit_all=True)
    with pytest.raises(UsageError, match="--run-firewall and --run-service-proxy are both false"):
        AgentSettings(NodeOptions("n1"), ApiSource(), firewall=False)
