"""Equal parts of many objects, kept once."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Hashable, Mapping
from typing import TypeVar

from netpol.model.objects import ContainerPort, Pod
from netpol.model.policies import Policy
from netpol.model.services import Endpoint, EndpointGroup, EndpointSlice

MOST_SHARED = 10_000

Part = TypeVar("Part", bound=Hashable)


class Sharing:
    """The parts that objects had in common so far.

    The pods of a deployment have the same labels and ports but for their names, and the policies of a cluster select
    the same few kinds of pods. What no longer fits is forgotten: sharing saves memory and has no other meaning.
    """

    def __init__(self, most: int = MOST_SHARED) -> None:
        self._most = most
        self._labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._parts: dict[Hashable, Hashable] = {}

    def pod(self, pod: Pod) -> Pod:
        """An equal pod, of shared parts."""
        ports: tuple[ContainerPort, ...] = self._part(pod.ports)
        return dataclasses.replace(
            pod,
            namespace=sys.intern(pod.namespace),
            labels=self.labels(pod.labels),
            node=sys.intern(pod.node),
            ports=ports,
            workload=sys.intern(pod.workload),
        )

    def policy(self, policy: Policy) -> Policy:
        """An equal policy, of shared parts; to compare rules would cost a fifth of decoding them."""
        return dataclasses.replace(
            policy,
            namespace=sys.intern(policy.namespace),
            pods=self._part(policy.pods),
            directions=self._part(policy.directions),
        )

    def endpoint_slice(self, found: EndpointSlice) -> EndpointSlice:
        """An equal slice, of shared endpoints: all of it comes again with every change of one of them."""
        return EndpointSlice(
            sys.intern(found.namespace),
            found.name,
            found.service,
            tuple(
                EndpointGroup(tuple(map(self._endpoint, group.endpoints)), self._part(group.ports))
                for group in found.groups
            ),
        )

    def _endpoint(self, endpoint: Endpoint) -> Endpoint:
        known = self._parts.get(endpoint)
        if isinstance(known, Endpoint):
            return known
        return self._part(
            Endpoint(
                endpoint.address,
                sys.intern(endpoint.node),
                endpoint.ready,
                endpoint.serving,
                endpoint.terminating,
                self._part(endpoint.zone_hints),
                self._part(endpoint.node_hints),
            )
        )

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The equal labels that were seen first; nobody may change them."""
        key = tuple(labels.items())
        known = self._labels.get(key)
        if known is None:
            if len(self._labels) >= self._most:
                self._labels.clear()
            known = {sys.intern(name): sys.intern(value) for name, value in key}
            self._labels[key] = known
        return known

    def _part(self, part: Part) -> Part:
        if len(self._parts) >= self._most:
            self._parts.clear()
        known = self._parts.setdefault(part, part)
        return known if type(known) is type(part) else part
