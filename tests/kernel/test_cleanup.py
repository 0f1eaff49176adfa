"""Cleanup takes away all that is ours, from whatever state, and finds nothing the second time."""

from __future__ import annotations

import pytest
from builders import BOTH, namespace, pods, policy, rule
from cluster import EVERYBODY, Cluster
from kernel_text import kernel_text

from netpol.settings import Variant

pytestmark = pytest.mark.kernel

POLICIES = (
    namespace("y", "team=blue", deny=True),
    policy("x/some", "app=web", directions=BOTH, ingress=[rule(peers=[pods("app=api")], ports=["80/TCP", "http/TCP"])]),
)


def clean(cluster: Cluster, node: str = "one") -> str:
    """What a cleanup that succeeds says."""
    answer = cluster.netpol(node, "cleanup")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return answer.stdout.strip()


def test_after_a_cleanup_everything_is_open_and_nothing_is_left(cluster: Cluster) -> None:
    cluster.enforce(*POLICIES)
    assert kernel_text(cluster).holds_ours
    for node in ("one", "two"):
        assert clean(cluster, node).endswith("sets removed")
        assert not kernel_text(cluster, node).holds_ours
        assert kernel_text(cluster, node).sets == ()
        assert clean(cluster, node) == "nothing of ours was there"
    cluster.write()
    assert cluster.probe("80/TCP", "ICMP").reaching("x/web") == EVERYBODY - {"x/web"}


def test_both_variants_at_once(cluster: Cluster) -> None:
    """As two agents leave them that were started with different flags, one of which was killed."""
    other = next(variant for variant in Variant if variant is not cluster.variant)
    cluster.enforce(*POLICIES)
    for tool in ("iptables", "ip6tables"):
        saved = cluster.shell("one", f"{tool}-{cluster.variant.value}-save", "-t", "filter")
        cluster.shell("one", f"{tool}-{other.value}-restore", given=saved)
    text = kernel_text(cluster).of_ours
    assert all(text.tables.values())
    assert len(text.tables) == 4
    clean(cluster)
    assert not kernel_text(cluster).holds_ours


HALF_BROKEN = {
    "no hooks": ["{iptables} -D FORWARD 1", "{ip6tables} -F INPUT", "{ip6tables} -F OUTPUT"],
    "hooks twice": ["{iptables} -A FORWARD -j NETPOL-FORWARD", "{iptables} -A INPUT -g NETPOL-EGRESS"],
    "no rules": ["{iptables} -F", "{ip6tables} -F"],
    "no chains": ["{iptables} -F", "{iptables} -X", "{ip6tables} -F", "{ip6tables} -X"],
    "one family": ["{ip6tables} -F", "{ip6tables} -X"],
    "empty sets": ["ipset flush"],
    "a set nobody made": ["ipset create NETPOL-ISO-IN-9 hash:ip", "ipset create NETPOL-N4-AAAAAAAAAAAAAAAA hash:net"],
}


@pytest.mark.parametrize("state", HALF_BROKEN)
def test_from_half_broken_states(cluster: Cluster, state: str) -> None:
    cluster.enforce(*POLICIES)
    for command in HALF_BROKEN[state]:
        tools = {tool: f"{tool}-{cluster.variant.value}" for tool in ("iptables", "ip6tables")}
        cluster.shell("one", *command.format(**tools).split())
    clean(cluster)
    assert not kernel_text(cluster).holds_ours
    assert clean(cluster) == "nothing of ours was there"
    cluster.shell("one", *["sh", "-c", "ipset destroy NETPOL-ISO-IN-9 2>/dev/null || true"])


def test_where_netpol_never_was(cluster: Cluster) -> None:
    clean(cluster, "two")
    before = kernel_text(cluster, "two")
    assert clean(cluster, "two") == "nothing of ours was there"
    assert kernel_text(cluster, "two") == before
