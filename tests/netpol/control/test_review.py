"""Named ports that no pod resolves, as the agent of one node tells of them."""

from __future__ import annotations

import pytest
from builders import namespace, pod, policy, rule

from netpol.control.review import READER, Review
from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.model.policies import Policy
from netpol.model.snapshot import Snapshot

ALLOW = policy("x/allow", "app=web", ingress=[rule(None, ["http/TCP"])])
ALLOW_KEY = Key(Kind.NETWORK_POLICY, "x", "allow")


class Board:
    """What was put on the board, in its order."""

    def __init__(self) -> None:
        self.put_there: list[tuple[Key, tuple[Notice, ...]]] = []

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...], reader: str = "") -> None:
        assert reader == READER
        assert uid == ALLOW.uid
        self.put_there.append((key, notices))


@pytest.fixture
def board() -> Board:
    return Board()


def world(*policies: Policy) -> Snapshot:
    return Snapshot.of(
        [namespace("x")],
        [
            pod("x/web", "10.0.0.2", labels="app=web", node="n1"),
            pod("x/other", "10.0.1.2", labels="app=other", node="n2"),
        ],
        policies=policies,
    )


def test_a_port_that_no_pod_has_is_told_by_the_node_of_a_pod_that_the_policy_selects(board: Board) -> None:
    Review("n1", world(ALLOW), board).look()

    [(key, notices)] = board.put_there
    assert key == ALLOW_KEY
    assert [notice.field for notice in notices] == ["spec.ingress[0].ports"]


def test_other_nodes_say_nothing_of_it(board: Board) -> None:
    Review("n2", world(ALLOW), board).look()

    assert board.put_there == []


def test_it_is_taken_back_when_a_pod_has_the_port(board: Board) -> None:
    snapshot = world(ALLOW)
    pods = dict(snapshot.pods)
    live = Snapshot(snapshot.namespaces, pods, snapshot.nodes, snapshot.policies)
    review = Review("n1", live, board)
    review.look()
    pods["x", "web"] = pod("x/web", "10.0.0.2", labels="app=web", node="n1", ports="http=80/TCP")
    review.look()

    assert board.put_there[-1] == (ALLOW_KEY, ())


def test_nothing_is_worked_out_again_while_nothing_changes(board: Board) -> None:
    review = Review("n1", world(ALLOW), board)
    review.look()
    review.look()

    assert len(board.put_there) == 1
