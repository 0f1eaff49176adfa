"""After any sequence of facts, every moment of the last ten minutes is told as it was.

The yardstick is an oracle made anew of the whole snapshot that held at the moment.
"""

from __future__ import annotations

from dataclasses import replace

from history import BEGAN, NODE, facts
from hypothesis import given
from hypothesis import strategies as st
from worlds import all_addresses, snapshots

from netpol.audit.history.chronicle import Chronicle
from netpol.compiler.log_points import pod_digest
from netpol.model.moments import SECOND, Moment
from netpol.model.networks import family_of
from netpol.model.objects import Pod
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection
from netpol.policy.verdict import Detail, Oracle
from netpol.settings import NodeOptions

TEN_MINUTES: Moment = 600 * SECOND
PAUSES = st.sampled_from([1, 2, SECOND, 60 * SECOND, 599 * SECOND, 601 * SECOND])


def remembering_own(before: Snapshot, after: Snapshot) -> Snapshot:
    """The snapshot, with what is not forgotten of the own node (G12)."""
    own, known = after.nodes.get(NODE), before.nodes.get(NODE)
    if known is None or (own is not None and own.pod_cidrs):
        return after
    kept = known if own is None else replace(own, pod_cidrs=known.pod_cidrs)
    return replace(after, nodes={**after.nodes, NODE: kept})


@given(st.lists(st.tuples(PAUSES, snapshots(max_pods=6, max_policies=4)), min_size=1, max_size=5))
def test_every_moment_of_ten_minutes_is_told_as_it_was(steps: list[tuple[Moment, Snapshot]]) -> None:
    chronicle = Chronicle(NodeOptions(NODE))
    now, known = BEGAN, Snapshot.of()
    held: list[tuple[Moment, Snapshot]] = []
    for pause, snapshot in steps:
        now += pause
        after = remembering_own(known, snapshot)
        chronicle.follow(facts(known, snapshot), now - 1, now)
        held.append((now, after))
        known = after
    for (since, snapshot), (until, _) in zip(held, [*held[1:], (now + 1, known)], strict=True):
        for moment in {since, (since + until) // 2, until - 1}:
            if moment >= now - TEN_MINUTES:
                assert_told(chronicle, moment, snapshot)


def assert_told(chronicle: Chronicle, moment: Moment, snapshot: Snapshot) -> None:
    """Everyone is who they were, and every connection is judged as it was."""
    world, oracle = chronicle.at(moment), Oracle(snapshot)
    addresses = all_addresses(snapshot)
    for address in addresses:
        assert world.end_at(address) == oracle.end_at(address)
    for pod in snapshot.pods.values():
        assert world.pod(pod_digest(pod.namespace, pod.name)) == (pod if judged_here(pod) else None)
        for peer in addresses[::3]:
            for own in pod.addresses:
                if family_of(own) is family_of(peer):
                    ends = oracle.end_at(own), oracle.end_at(peer)
                    connection = Connection(*ends, Protocol.TCP, 80)
                    assert world.oracle.judge(connection, Detail.FULL) == oracle.judge(connection, Detail.FULL)


def judged_here(pod: Pod) -> bool:
    return pod.node == NODE and not pod.host_network
