"""The ways that lead to a service, and what comes of asking by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import builders
from vm.conversation import ask
from vm.servers import Reply
from vm.service_lab import ServiceLab

from netpol.model.networks import Address, Family, family_of
from netpol.model.ports import Protocol

SERVED = {Protocol.TCP: 80, Protocol.UDP: 53}
NODE_PORTS = {Protocol.TCP: 30080, Protocol.UDP: 30053}
SERVICE_PORTS = "t=80:30080/TCP u=53:30053/UDP"
SILENT_SECONDS = 1.0
"""Nobody needs longer to answer here."""


class Way(NamedTuple):
    """An address and a port that lead to a service, or straight to a pod."""

    address: Address
    protocol: Protocol
    port: int

    @property
    def family(self) -> Family:
        """The family of who goes it."""
        return family_of(self.address)


def ways(*addresses: str, ports: Mapping[Protocol, int] = SERVED) -> list[Way]:
    """By either protocol, to each of these addresses."""
    return [Way(builders.address(each), protocol, port) for each in addresses for protocol, port in ports.items()]


def outcomes(lab: ServiceLab, ways: Iterable[Way], *clients: str) -> dict[str, set[str]]:
    """What each client comes to by these ways, all at once: the names of who answered, or of outcomes."""
    questions = [(client, way) for client in clients for way in ways]
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda question: outcome(lab, *question), questions))
    found: dict[str, set[str]] = {client: set() for client in clients}
    for (client, _), answer in zip(questions, answers, strict=True):
        found[client].add(answer)
    return found


def outcome(lab: ServiceLab, client: str, way: Way) -> str:
    """Who answers the client, or what else comes of a question."""
    source = lab.endpoint(client, way.family)
    found = ask(source, way.address, way.port, way.protocol, seconds=SILENT_SECONDS)
    return found.name if isinstance(found, Reply) else found.value
