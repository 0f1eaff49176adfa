"""Which actionable pods may connect to which others on one port."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import NamedTuple

from netpol.model.objects import Pod
from netpol.model.ports import ProtocolPort
from netpol.policy.ends import pair_of_one_family, pairs_by_family
from netpol.policy.judgement import Connection, End, PodEnd, Verdict
from netpol.policy.verdict import Oracle

Reachability = dict[str, dict[str, bool]]
"""For each pod `ns/name`, by namespace and name, whether it may connect to each other pod."""


def reachability(oracle: Oracle, pods: Iterable[Pod], port: ProtocolPort) -> Reachability:
    """The answer for every ordered pair of different actionable pods; no common address family is a no."""
    parties = _parties(pods)
    return {
        source: {
            destination: _may_connect(oracle, senders, receivers, port)
            for destination, receivers in parties
            if destination != source
        }
        for source, senders in parties
    }


def divided(oracle: Oracle, pods: Iterable[Pod], port: ProtocolPort, reach: Reachability) -> list[tuple[str, str]]:
    """The ordered pairs of which another family has another answer than `reach`, that of these pods and port (X12)."""
    parties = [party for party in _parties(pods) if len(party.ends) > 1]
    return [
        (source.name, destination.name)
        for source, destination in permutations(parties, 2)
        if any(
            _allowed(oracle, pair, port) is not reach[source.name][destination.name]
            for pair in pairs_by_family(source.ends, destination.ends)[1:]
        )
    ]


def spared(oracle: Oracle, pods: Iterable[Pod], port: ProtocolPort, reach: Reachability) -> list[tuple[str, str]]:
    """The ordered pairs that may connect by `reach`, and may not once what is under audit is enforced (X16)."""
    return [
        (source.name, destination.name)
        for source, destination in permutations(_parties(pods), 2)
        if reach[source.name][destination.name]
        and (pair := pair_of_one_family(source.ends, destination.ends)) is not None
        and _judge(oracle, pair, port).spared
    ]


class _Party(NamedTuple):
    """A pod: its name, and an end for each of its addresses."""

    name: str
    ends: tuple[End, ...]


def _parties(pods: Iterable[Pod]) -> list[_Party]:
    actionable = sorted((pod for pod in pods if pod.actionable), key=lambda pod: (pod.namespace, pod.name))
    return [_Party(str(pod), tuple(PodEnd(pod, address) for address in pod.addresses)) for pod in actionable]


def _may_connect(oracle: Oracle, sources: tuple[End, ...], destinations: tuple[End, ...], port: ProtocolPort) -> bool:
    pair = pair_of_one_family(sources, destinations)
    return pair is not None and _allowed(oracle, pair, port)


def _allowed(oracle: Oracle, pair: tuple[End, End], port: ProtocolPort) -> bool:
    return _judge(oracle, pair, port).allowed


def _judge(oracle: Oracle, pair: tuple[End, End], port: ProtocolPort) -> Verdict:
    return oracle.judge(Connection(*pair, port.protocol, port.port))
