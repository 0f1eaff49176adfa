"""Policies as objects of the API: what they are called, whom they select, what they allow."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from netpol.compiler.names import digest
from netpol.model.labels import Labels
from netpol.model.networks import Address, Network
from netpol.model.policies import Direction, Semantics
from netpol.model.ports import ProtocolPort
from netpol.model.treatment import ENFORCEMENT_ANNOTATION, Enforcement
from netpol.source.objects import NAME_LABEL

Document = Mapping[str, object]
"""An object as the API has it."""

_LONGEST_STEM = 40
_DIGEST_LENGTH = 8
_NO_NAME = re.compile(r"[^a-z0-9]+")
_TYPES = {Direction.INGRESS: "Ingress", Direction.EGRESS: "Egress"}
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


class Dialect(enum.Enum):
    """An API that policies are written in; the values are its apiVersion."""

    V1 = "networking.k8s.io/v1"
    BETA = "extensions/v1beta1"
    """Under the annotation: ingress only, and a peer is pods of one's own or of whole namespaces (B9-B13)."""

    @property
    def semantics(self) -> Semantics:
        """The rules that its objects follow (M2, M3)."""
        return Semantics.ANNOTATION if self is Dialect.BETA else Semantics.V1


@dataclass(frozen=True, slots=True, order=True)
class PodTerm:
    """Pods by their labels, of the policy's namespace where `namespace` is empty."""

    namespace: str
    labels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Labels, namespace: str = "") -> PodTerm:
        """The term that names these pods."""
        return cls(namespace, tuple(sorted(labels.items())))

    @property
    def document(self) -> Document:
        """The peer of a rule."""
        pods = {"podSelector": {"matchLabels": dict(self.labels)}}
        return {"namespaceSelector": {"matchLabels": {NAME_LABEL: self.namespace}}, **pods} if self.namespace else pods


Term = PodTerm | Address


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy that allows, in one direction, the pods with these labels what `ports_of` says; no ports are all."""

    dialect: Dialect
    namespace: str
    workload: str
    labels: PodTerm
    direction: Direction
    enforcement: Enforcement
    ports_of: Mapping[Term, frozenset[ProtocolPort] | None]

    def document(self, taken: Container[str]) -> Document:
        """The object, by a name that follows from its content, and is none of those taken (`namespace/name`).

        A later suggestion for the same pods has another name, so that to apply it takes nothing back.
        """
        content = {"podSelector": {"matchLabels": dict(self.labels.labels)}}
        types = {"policyTypes": [_TYPES[self.direction]]} if self.dialect is Dialect.V1 else {}
        rules = {self.direction.value: self._rules()}
        audit = {"annotations": {ENFORCEMENT_ANNOTATION: self.enforcement.value}}
        return {
            "apiVersion": self.dialect.value,
            "kind": "NetworkPolicy",
            "metadata": {
                "name": self._name(str(rules), taken),
                "namespace": self.namespace,
                **(audit if self.enforcement is Enforcement.AUDIT else {}),
            },
            "spec": {**content, **types, **rules},
        }

    def _rules(self) -> list[Document]:
        """One rule for each set of ports, with all the peers that it is for."""
        terms_by_ports: dict[frozenset[ProtocolPort] | None, list[Term]] = {}
        for term, ports in self.ports_of.items():
            terms_by_ports.setdefault(ports, []).append(term)
        rules = [
            {_PEERS[self.direction]: _peers(terms), **({} if ports is None else {"ports": _ports(ports)})}
            for ports, terms in terms_by_ports.items()
        ]
        return sorted(rules, key=str)

    def _name(self, rules: str, taken: Container[str]) -> str:
        stem = _NO_NAME.sub("-", self.workload.rpartition("/")[2].lower())[:_LONGEST_STEM].strip("-") or "pods"
        content = (self.dialect.value, self.namespace, str(self.labels), self.enforcement.value, rules)
        attempt = 0
        while True:
            number = digest(*content, *map(str, range(attempt)))[:_DIGEST_LENGTH].lower()
            name = f"allow-{stem}-{self.direction.value}-{number}"
            if f"{self.namespace}/{name}" not in taken:
                return name
            attempt += 1


def _peers(terms: Collection[Term]) -> list[Document]:
    """The pods, then the addresses, of which those that fill a network are one peer."""
    pods = sorted(term for term in terms if isinstance(term, PodTerm))
    blocks: list[Network] = [
        *collapse_addresses(IPv4Network(term) for term in terms if isinstance(term, IPv4Address)),
        *collapse_addresses(IPv6Network(term) for term in terms if isinstance(term, IPv6Address)),
    ]
    return [*(term.document for term in pods), *({"ipBlock": {"cidr": str(block)}} for block in blocks)]


def _ports(ports: Iterable[ProtocolPort]) -> list[Document]:
    ordered = sorted(ports, key=lambda each: (each.protocol.value, each.port or 0))
    return [{"protocol": each.protocol.value, "port": each.port} for each in ordered]
