"""No connection is judged wrongly at any moment, while the rules change under it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import BOTH, EGRESS, block, namespace, pods, policy, rule
from cluster import Cluster, Object
from forked import Command
from stream import Streams

from netpol.settings import Variant

pytestmark = pytest.mark.kernel

TIMES = 3
PAUSE_SECONDS = 0.002


def runs(cluster: Cluster, tmp_path: Path, *worlds: Sequence[Object]) -> list[list[str]]:
    """Runs of netpol that enforce each of these worlds, which are left in directories of their own."""
    usual, found = cluster.directory, []
    for number, objects in enumerate(worlds):
        cluster.directory = tmp_path / str(number)
        cluster.directory.mkdir()
        cluster.write(*objects)
        found.append(cluster.run_arguments("one"))
    cluster.directory = usual
    return found


def assert_never_wrong(
    cluster: Cluster,
    turns: Sequence[Sequence[str]],
    *,
    allowed: Sequence[tuple[str, str, str]],
    denied: Sequence[tuple[str, str, str]],
) -> None:
    """While node one carries out the `turns`, every opening of an allowed pair arrives and none of a denied one."""
    open_ones = {cluster.question(*each): " ".join(each) for each in allowed}
    shut_ones = {cluster.question(*each): " ".join(each) for each in denied}
    with Streams([*open_ones, *shut_ones]) as streams:
        carry_out(cluster, turns, streams)
        streams.finish()
    assert min(streams.sent.values()) > 25
    lost = {name: streams.sent[each] - streams.arrived[each] for each, name in open_ones.items()}
    leaked = {name: streams.arrived[each] for each, name in shut_ones.items()}
    assert lost == dict.fromkeys(lost, 0)
    assert leaked == dict.fromkeys(leaked, 0)


def carry_out(cluster: Cluster, turns: Sequence[Sequence[str]], streams: Streams) -> None:
    """Node one carries out the turns some times, the first last: it is in force. Openings leave all the time."""
    machine = cluster.lab.namespace("node/one")
    # Every run looks through all connections: those of earlier tests would only slow it down.
    cluster.shell("one", "conntrack", "-F")
    for turn in [*turns[1:], turns[0]] * TIMES:
        command = Command(machine, turn)
        while not command.has_ended():
            streams.open_round()
            time.sleep(PAUSE_SECONDS)
        answer = command.wait()
        assert answer.returncode == 0, answer.stderr
        assert "nothing to change" not in answer.stdout


API_ON_80 = rule(peers=[pods("app=api")], ports=["80/TCP", "53/UDP"])
FRONT_ON_80 = rule(peers=[pods("tier=front")], ports=["80/TCP", "53/UDP"])
FRONT_ON_MORE = rule(peers=[pods("tier=front")], ports=["80/TCP", "81/TCP", "53/UDP", "54/UDP"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([policy("x/p", "app=web", ingress=[API_ON_80])], [policy("x/p", "app=web", ingress=[FRONT_ON_MORE])]),
        ([policy("x/p", "app=web", ingress=[API_ON_80])], [policy("x/p", "app=web", ingress=[FRONT_ON_80])]),
        ([policy("x/p", "app=web", ingress=[API_ON_80])], [policy("x/q", "app=web", ingress=[FRONT_ON_MORE])]),
        (
            [policy("x/p", "app=web", ingress=[API_ON_80], directions=BOTH)],
            [policy("x/p", ingress=[rule(peers=[block("10.1.0.11/32")])]), namespace("y", "team=red")],
        ),
        (
            [policy("x/p", "app=web", ingress=[API_ON_80])],
            [
                policy("x/p", "app=web", ingress=[API_ON_80]),
                policy("x/all", "app=web", ingress=[rule()], directions=BOTH, under_audit=True),
            ],
        ),
    ],
    ids=["rules", "peers", "policies", "everything", "under audit"],
)
def test_what_both_worlds_agree_on_holds_all_the_time(
    cluster: Cluster, tmp_path: Path, first: list[Object], second: list[Object]
) -> None:
    cluster.enforce(*first)
    assert_never_wrong(
        cluster,
        runs(cluster, tmp_path, first, second),
        allowed=[("x/api", "x/web", "53/UDP"), ("x/api", "x/web", "80/TCP")],
        denied=[("y/job", "x/web", "53/UDP"), ("y/job", "x/web", "80/TCP")],
    )


def test_isolating_other_pods_disturbs_nobody(cluster: Cluster, tmp_path: Path) -> None:
    """The pods that come to be isolated and cease to be share every base chain with those that stay as they are."""
    always = policy("x/web", "app=web", ingress=[API_ON_80])
    turns = runs(cluster, tmp_path, [always], [always, policy("y/deny", directions=BOTH)])
    cluster.enforce(always)
    assert_never_wrong(
        cluster,
        turns,
        allowed=[("x/api", "x/web", "53/UDP"), ("outside/client", "x/api", "53/UDP"), ("x/api", "x/web", "80/TCP")],
        denied=[("outside/client", "x/web", "53/UDP"), ("x/far", "x/web", "80/TCP")],
    )


@pytest.mark.parametrize("dry_run", [False, True], ids=["isolated by nothing", "under audit"])
def test_a_pod_that_comes_to_be_isolated_keeps_what_its_policy_allows(
    cluster: Cluster, tmp_path: Path, *, dry_run: bool
) -> None:
    """It goes from no policy that is enforced to one and back: what that allows was allowed without it too."""
    isolating: list[Object] = [
        policy("x/web", "app=web", ingress=[API_ON_80]),
        policy("x/api", "app=api", egress=[rule(peers=[pods("app=web")])], directions=EGRESS),
    ]
    open_to_all: list[Object] = [namespace("x", "team=red", under_audit=True), *isolating] if dry_run else []
    cluster.enforce(*open_to_all)
    assert_never_wrong(
        cluster,
        runs(cluster, tmp_path, open_to_all, isolating),
        allowed=[("x/api", "x/web", "53/UDP"), ("x/api", "x/web", "80/TCP")],
        denied=[],
    )


def test_changing_the_variant_opens_and_shuts_nothing(cluster: Cluster, tmp_path: Path) -> None:
    always = [policy("x/web", "app=web", ingress=[API_ON_80])]
    cluster.enforce(*always)
    (turn,) = runs(cluster, tmp_path, always)
    others = [variant for variant in Variant if variant is not cluster.variant]
    turns = [[*turn, "--iptables-variant", variant.value] for variant in (cluster.variant, *others)]
    assert_never_wrong(
        cluster,
        turns,
        allowed=[("x/api", "x/web", "53/UDP"), ("x/api", "x/web", "80/TCP")],
        denied=[("y/job", "x/web", "53/UDP"), ("y/job", "x/web", "80/TCP")],
    )
