"""NetworkPolicies of extensions/v1beta1 and networking.k8s.io/v1 (sections 1.1 and 1.2 of the semantics).

The two APIs share one JSON shape (V11); `Semantics` says which rules it follows. Nothing a
spec can hold is an error here: a part that is not understood matches nothing, the policy
isolates as ever, and a notice says so (M7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import TypeVar

from netpol.model.labels import EVERYTHING, Selector
from netpol.model.notices import Notice
from netpol.model.policies import Direction, Peer, Policy, PolicyRule, Semantics
from netpol.model.ports import PortEntry
from netpol.source.fields import FieldPath, Fields, Problem, Reading, render, shown
from netpol.source.objects import read_identity
from netpol.source.peers import decode_peer
from netpol.source.ports import decode_port
from netpol.source.selectors import decode_selector
from netpol.source.treatment_annotations import read_enforcement

_SPEC: FieldPath = ("spec",)
_INGRESS_ONLY = frozenset({Direction.INGRESS})
_BOTH = frozenset(Direction)
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
_OF_LATER_RELEASES = {"policyTypes": (None, ["Ingress"]), "egress": (None,)}
"""Fields that mean nothing under the annotation (B13), and the values of which nothing is said.

API servers of 1.8 to 1.15 put the type Ingress into every policy that has none, and it is so anyway.
"""

Part = TypeVar("Part")


def decode_policy(fields: Fields, semantics: Semantics) -> tuple[Policy, tuple[Notice, ...]]:
    """The policy, and what of its spec was not understood; Malformed where it cannot be told which object it is."""
    reading = Reading()
    metadata = reading.mapping(fields, (), "metadata")
    identity = read_identity(metadata, reading)
    generation = reading.number(metadata, ("metadata",), "generation")
    reading.unless_malformed()
    spec = _SpecReading(identity.namespace, semantics)
    policy = spec.policy(fields.get("spec"), identity.name, identity.uid, generation)
    enforcement = read_enforcement(spec.reading.mapping(metadata, ("metadata",), "annotations"), spec.reading)
    notices = tuple(_notice(policy, problem) for problem in spec.reading.problems)
    return replace(policy, enforcement=enforcement), notices


def _notice(policy: Policy, problem: Problem) -> Notice:
    return Notice("NetworkPolicy", policy.namespace, policy.name, render(problem.path), problem.message)


_SPEC_FIELDS = ("podSelector", "ingress", "egress", "policyTypes")
_OF_MISSPELT = {
    "podSelector": "isolates every pod and allows nothing",
    "ingress": "allows nothing in",
    "egress": "isolates for both and allows nothing out",
    "policyTypes": "isolates for both",
}
"""What becomes of a policy by a field that cannot be understood."""


class _SpecReading:
    """The reading of one policy's spec; `reading` gathers what was not understood."""

    def __init__(self, namespace: str, semantics: Semantics) -> None:
        self.reading = Reading()
        self._namespace = namespace
        self._semantics = semantics

    def policy(self, value: object, name: str, uid: str, generation: int) -> Policy:
        """The policy that has this spec."""
        unreadable = value is not None and not isinstance(value, dict)
        spec: Fields = value if isinstance(value, dict) else {}
        if unreadable:
            self.reading.wrong(_SPEC, f"must be a mapping, not {shown(value)}; the policy isolates every pod")
        elif value is None:
            self.reading.wrong(_SPEC, "is missing; the policy isolates every pod for ingress")
        self.reading.only(spec, _SPEC, _SPEC_FIELDS)
        misspelt = self._misspelt(spec)
        pods = None if "podSelector" in misspelt else self._pods(spec)
        directions = self._directions(spec, unreadable=unreadable or bool(misspelt & {"policyTypes", "egress"}))
        ingress = self._rules(spec, Direction.INGRESS)
        egress = () if self._semantics is Semantics.ANNOTATION else self._rules(spec, Direction.EGRESS)
        if pods is None:
            # The pods meant are among all pods, so all are isolated; but a rule meant for some of them
            # would open the others, which another policy may isolate.
            pods, ingress, egress = EVERYTHING, (), ()
        return Policy(self._namespace, name, pods, directions, ingress, egress, self._semantics, uid, generation)

    def _misspelt(self, spec: Fields) -> set[str]:
        """The fields that the spec lacks and seems to mean by one it has: what they say cannot be understood (M7)."""
        lacking = {name.lower(): name for name in _SPEC_FIELDS if name not in spec}
        found = set()
        for key in spec.keys() - set(_SPEC_FIELDS):
            for near in get_close_matches(str(key).lower(), lacking, n=1, cutoff=0.8):
                found.add(lacking[near])
                consequence = _OF_MISSPELT[lacking[near]]
                self.reading.wrong((*_SPEC, key), f"is taken for a misspelt {lacking[near]}; the policy {consequence}")
        return found

    def _pods(self, spec: Fields) -> Selector | None:
        """The pods selected: all where the spec names none (B5); None where it cannot be read (X3)."""
        value = spec.get("podSelector")
        if value is None:
            return EVERYTHING
        path = (*_SPEC, "podSelector")
        selector = decode_selector(value, path, self.reading)
        if selector is None:
            self.reading.wrong(path, "is not understood; the policy isolates every pod and allows nothing")
        return selector

    def _directions(self, spec: Fields, *, unreadable: bool) -> frozenset[Direction]:
        """What the policy isolates for: its types, or their defaults (V2); both where that cannot be told (M7)."""
        if self._semantics is Semantics.ANNOTATION:
            for key, silent in _OF_LATER_RELEASES.items():
                if spec.get(key) not in silent:
                    self.reading.wrong(
                        (*_SPEC, key), "is ignored: under the namespace annotation only ingress is ruled"
                    )
            return _INGRESS_ONLY
        if unreadable:
            return _BOTH
        types = spec.get("policyTypes")
        if types is None or types == []:
            return _INGRESS_ONLY if spec.get("egress") in (None, []) else _BOTH
        if isinstance(types, list) and len(types) <= len(_TYPES):
            directions = [_TYPES.get(name) if isinstance(name, str) else None for name in types]
            if None not in directions:
                return frozenset(filter(None, directions))
        self.reading.wrong(
            (*_SPEC, "policyTypes"), f"must list {' or '.join(_TYPES)} or both; the policy isolates for both"
        )
        return _BOTH

    def _rules(self, spec: Fields, direction: Direction) -> tuple[PolicyRule, ...]:
        entries = self.reading.sequence(spec, _SPEC, direction.value)
        path = (*_SPEC, direction.value)
        return tuple(self._rule(entry, (*path, index), index, direction) for index, entry in enumerate(entries))

    def _rule(self, value: object, at: FieldPath, index: int, direction: Direction) -> PolicyRule:
        """The rule; one that is no mapping, or has an unknown field, matches nothing: `[null]` is not `[{}]`."""
        if not isinstance(value, dict):
            self.reading.wrong(at, f"must be a rule, not {shown(value)}")
            return PolicyRule(index, (), ())
        understood = self.reading.only(value, at, (_PEERS[direction], "ports"))
        peers: tuple[Peer, ...] | None = self._part(value, at, _PEERS[direction], self._peer)
        ports: tuple[PortEntry, ...] | None = self._part(value, at, "ports", self._port)
        return PolicyRule(index, peers, ports) if understood else PolicyRule(index, (), ())

    def _part(
        self, rule: Fields, at: FieldPath, key: str, decode: Callable[[object, FieldPath], Part | None]
    ) -> tuple[Part, ...] | None:
        """The entries understood; None where the rule is not restricted by this part (B7, V3)."""
        entries = rule.get(key)
        if entries is None:
            return None
        if not isinstance(entries, list):
            self.reading.wrong((*at, key), f"must be a list, not {shown(entries)}")
            return ()
        if not entries:
            return () if self._semantics is Semantics.ANNOTATION else None
        decoded = (decode(entry, (*at, key, index)) for index, entry in enumerate(entries))
        return tuple(part for part in decoded if part is not None)

    def _peer(self, value: object, at: FieldPath) -> Peer | None:
        return decode_peer(value, at, self._namespace, self._semantics, self.reading)

    def _port(self, value: object, at: FieldPath) -> PortEntry | None:
        return decode_port(value, at, self._semantics, self.reading)
