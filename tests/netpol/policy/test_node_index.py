"""Which node has an address while nodes and pods come and go, against the lookups made at once."""

from __future__ import annotations

from dataclasses import replace

from builders import address, node, pod
from hypothesis import given
from hypothesis import strategies as st
from worlds import snapshots

from netpol.model.change import Change
from netpol.model.snapshot import Snapshot
from netpol.policy.lookups import Lookups
from netpol.policy.node_index import NodeIndex

HOST = pod("x/host", "192.168.0.9", node="n1", host_network=True)


def test_a_node_has_the_addresses_of_what_runs_in_its_network() -> None:
    """V9, also where the node itself is not known."""
    index = NodeIndex()
    index.replace([], [Change(None, HOST)])
    assert index.by_address[address("192.168.0.9")].name == "n1"
    index.replace([], [Change(HOST, replace(HOST, finished=True))])
    assert index.by_address == {}


def test_of_nodes_that_share_an_address_the_first_by_name_has_it() -> None:
    one, two = node("n1", "192.168.0.1"), node("n2", "192.168.0.1")
    index = NodeIndex()
    index.replace([Change(None, two), Change(None, one)], [])
    assert index.by_address == {address("192.168.0.1"): one}
    index.replace([Change(one, None)], [])
    assert index.by_address == {address("192.168.0.1"): two}


@given(st.lists(snapshots(), min_size=1, max_size=4))
def test_after_any_changes_it_is_as_if_made_of_what_is_left(history: list[Snapshot]) -> None:
    index, known = NodeIndex(), Snapshot.of()
    for snapshot in history:
        nodes = (Change(known.nodes.get(n), snapshot.nodes.get(n)) for n in known.nodes.keys() | snapshot.nodes.keys())
        pods = (Change(known.pods.get(n), snapshot.pods.get(n)) for n in known.pods.keys() | snapshot.pods.keys())
        before = dict(index.by_address)
        former = index.replace(nodes, pods)
        known = snapshot
        assert index.by_address == Lookups.of(snapshot).nodes_by_address
        assert former == {address: before.get(address) for address in former}
        differing = (
            each for each in before.keys() | index.by_address.keys() if before.get(each) != index.by_address.get(each)
        )
        assert former.keys() >= set(differing)
