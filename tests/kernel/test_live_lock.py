"""Somebody holds the lock that every iptables-legacy takes, for longer than a write waits for it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import pods, policy, rule, world
from cluster import BASE, Cluster
from live import known
from live_node import LiveNode
from waiting import wait_until

from netpol.dataplane import iptables
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

LOCK = Path("/run/xtables.lock")
CLOSED = policy("x/p", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])])
OTHERWISE = policy("x/p", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP", "81/TCP"])])
"""Both let x/api reach x/web at port 80, and y/job not; the second takes another rule."""


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory, namespaces: None) -> Iterator[Cluster]:
    """The usual cluster, written by the variant that has a lock."""
    with Cluster(tmp_path_factory.mktemp("manifests"), variant=Variant.LEGACY) as built:
        yield built


@contextmanager
def locked() -> Iterator[None]:
    """Inside, nobody's iptables-legacy gets on."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_lock_that_is_held_is_waited_for_with_the_old_rules_in_force(
    legacy: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others on this machine wait for the lock too: it is held as short as the writer's patience is made.
    monkeypatch.setattr(iptables, "LOCK_SECONDS", 1)
    with LiveNode(legacy, world(*BASE, CLOSED)) as node:
        wait_until(lambda: node.metric("in_sync") == 1, "it is told that all is well")
        with locked():
            node.say(known(OTHERWISE))
            wait_until(lambda: node.metric("in_sync") == 0, "the write was refused")
            for family in Family:
                assert legacy.reaches("x/api", "x/web", family=family)
                assert not legacy.reaches("y/job", "x/web", family=family)
                assert not legacy.reaches("x/api", "x/web", "81/TCP", family=family)
        node.until_right()
        wait_until(lambda: node.metric("in_sync") == 1, "it is told that all is well again")
        assert legacy.reaches("x/api", "x/web", "81/TCP")
        assert node.metric("retries_total") > 0
