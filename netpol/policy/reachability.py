"""Which actionable pods may connect to which others on one port."""

from __future__ import annotations

from collections.abc import Iterable

from netpol.model.objects import Pod
from netpol.model.ports import ProtocolPort
from netpol.policy.ends import pair_of_one_family
from netpol.policy.judgement import Connection, End, PodEnd
from netpol.policy.verdict import Oracle

Reachability = dict[str, dict[str, bool]]
"""For each pod `ns/name`, by namespace and name, whether it may connect to each other pod."""


def reachability(oracle: Oracle, pods: Iterable[Pod], port: ProtocolPort) -> Reachability:
    """The answer for every ordered pair of different actionable pods; no common address family is a no."""
    actionable = sorted((pod for pod in pods if pod.actionable), key=lambda pod: (pod.namespace, pod.name))
    parties = [(str(pod), tuple(PodEnd(pod, address) for address in pod.addresses)) for pod in actionable]
    return {
        source: {
            destination: _may_connect(oracle, senders, receivers, port)
            for destination, receivers in parties
            if destination != source
        }
        for source, senders in parties
    }


def _may_connect(oracle: Oracle, sources: tuple[End, ...], destinations: tuple[End, ...], port: ProtocolPort) -> bool:
    pair = pair_of_one_family(sources, destinations)
    return pair is not None and oracle.judge(Connection(*pair, port.protocol, port.port)).allowed
