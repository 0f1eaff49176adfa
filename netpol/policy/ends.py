"""Who stands behind an address or a name of a snapshot."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cached_property

from netpol.errors import UsageError
from netpol.model.networks import Address, Family, family_of, parse_address, parse_network
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import End, ExternalEnd, NodeEnd, PodEnd
from netpol.policy.lookups import Lookups, known_nodes


class Ends:
    """The ends of connections that a snapshot knows; `lookups` where somebody keeps those of the snapshot.

    A hostNetwork pod's addresses are its node's (V9), also where the Node object does not list them or is missing.
    """

    def __init__(self, snapshot: Snapshot, lookups: Lookups | None = None) -> None:
        self._snapshot = snapshot
        self._lookups = Lookups.of(snapshot) if lookups is None else lookups

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return known_nodes(self._snapshot)

    def holder_of(self, address: Address) -> Pod | None:
        """The newest actionable pod that holds the address (X1)."""
        return self._lookups.pods_by_address.get(address)

    def at(self, address: Address) -> End:
        """The newest actionable pod that holds the address (X1), else a node that has it, else the outside."""
        pod = self.holder_of(address)
        if pod is not None:
            return PodEnd(pod, address)
        node = self._lookups.nodes_by_address.get(address)
        return ExternalEnd(address) if node is None else NodeEnd(node, address)

    def named(self, text: str) -> tuple[End, ...]:
        """The ends that `ns/pod`, `node/NAME` or an address stands for, one for each address, the primary one first.

        UsageError where it stands for none: nothing has this name, or the pod is not one that can be reached.
        """
        place, slash, name = text.partition("/")
        if not slash:
            return (self.at(self._address(text)),)
        pod = self._snapshot.pods.get((place, name))
        if place == "node" and (pod is None or name in self._nodes):
            return self._node(name)
        if pod is None:
            _refuse_network(text)
            raise UsageError(f"no pod is named {text}{_alternatives(text, map(str, self._snapshot.pods.values()))}")
        return self._of_host(pod) if pod.host_network else _of_pod(pod)

    def _address(self, text: str) -> Address:
        try:
            return parse_address(text)
        except ValueError:
            pods = (str(pod) for pod in self._snapshot.pods.values() if pod.name == text)
            nodes = (str(node) for node in self._nodes.values() if node.name == text)
            meant = _listed(sorted({*pods, *nodes}))
            raise UsageError(f"{text!r} is no namespace/pod, no node/NAME and no address{meant}") from None

    def _node(self, name: str) -> tuple[End, ...]:
        node = self._nodes.get(name)
        if node is None:
            raise UsageError(f"no node is named {name}{_alternatives(f'node/{name}', map(str, self._nodes.values()))}")
        return _of_node(node, node.addresses)

    def _of_host(self, pod: Pod) -> tuple[End, ...]:
        if pod.finished:
            raise UsageError(_finished(pod))
        if not pod.node:
            raise UsageError(f"{pod} uses its node's network, and it is not known on which node it runs")
        node = self._nodes[pod.node]
        return _of_node(node, pod.addresses or node.addresses)


def pair_of_one_family(sources: Iterable[End], destinations: Iterable[End]) -> tuple[End, End] | None:
    """One end of each, of one family: the destination's first address that the source has a family for.

    None where they have no family in common. A node without known addresses has every family.
    """
    return next(_pairs(sources, destinations), None)


def pairs_by_family(sources: Iterable[End], destinations: Iterable[End]) -> tuple[tuple[End, End], ...]:
    """One pair for each family that both have, first the one of `pair_of_one_family`."""
    pairs: dict[Family | None, tuple[End, End]] = {}
    for pair in _pairs(sources, destinations):
        pairs.setdefault(family_between(*pair), pair)
    return tuple(pairs.values())


def family_between(source: End, destination: End) -> Family | None:
    """The family of packets between two ends of one family; None where no address of either is known."""
    address = source.address or destination.address
    return None if address is None else family_of(address)


def _pairs(sources: Iterable[End], destinations: Iterable[End]) -> Iterator[tuple[End, End]]:
    """Every pair that packets can pass between, in the order of the destinations."""
    senders = tuple(sources)
    for destination in destinations:
        for source in senders:
            if _can_meet(source.address, destination.address):
                yield source, destination


def _can_meet(source: Address | None, destination: Address | None) -> bool:
    return source is None or destination is None or source.version == destination.version


def _of_node(node: Node, addresses: tuple[Address, ...]) -> tuple[End, ...]:
    return tuple(NodeEnd(node, address) for address in addresses) or (NodeEnd(node, None),)


def _of_pod(pod: Pod) -> tuple[End, ...]:
    if pod.finished:
        raise UsageError(_finished(pod))
    if not pod.addresses:
        raise UsageError(f"{pod} is no actionable pod: it has no address yet")
    return tuple(PodEnd(pod, address) for address in pod.addresses)


def _refuse_network(text: str) -> None:
    """UsageError where `text` is a network; a pod's name is never one, for no namespace has a dot or a colon in it."""
    try:
        parse_network(text)
    except ValueError:
        return
    raise UsageError(f"{text} is a network, which is no end of a connection; an address is")


def _finished(pod: Pod) -> str:
    return f"{pod} is no actionable pod: it has finished, and its address may be another pod's"


def _alternatives(wanted: str, names: Iterable[str]) -> str:
    return _listed(difflib.get_close_matches(wanted, sorted(names)))


def _listed(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""
