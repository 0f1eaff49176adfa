"""A lab whose nodes run the firewall: manifests go in, packets are sent, and the oracle is asked beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Self

from builders import address, namespace, node, pod, world
from forked import Command
from world_manifests import Manifest, manifests

from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.namespace import Namespace as NetworkNamespace
from netpol.lab.prober import Outcome, Patience, Probe, probe
from netpol.lab.topology import Endpoint, Outside, Wiring
from netpol.model.networks import Family, family_of
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import DenyAction
from netpol.policy.judgement import Connection, End, NodeEnd, PodEnd
from netpol.policy.verdict import Oracle
from netpol.settings import PolicyOptions, Variant
from netpol.source.manifests import load

Object = Namespace | Pod | Node | Policy

ONE = node("one", "192.168.50.1", "fd50::1", pod_cidrs=["10.1.0.0/24", "fd01::/64"])
TWO = node("two", "192.168.50.2", "fd50::2", pod_cidrs=["10.2.0.0/24", "fd02::/64"])
WEB = pod("x/web", "10.1.0.10", "fd01::10", labels="app=web", ports="http=80/TCP dns=53/UDP", node="one")
API = pod("x/api", "10.1.0.11", "fd01::11", labels="app=api tier=front", ports="http=8080/TCP", node="one")
FAR = pod("x/far", "10.2.0.10", "fd02::10", labels="app=web tier=front", ports="http=81/TCP", node="two")
JOB = pod("y/job", "10.1.0.12", "fd01::12", labels="app=job", node="one")
OTHER = pod("y/other", "10.2.0.11", "fd02::11", labels="app=web tier=front", node="two")
BASE: tuple[Object, ...] = (
    *(ONE, TWO),
    *(namespace("x", "team=red"), namespace("y", "team=blue")),
    *(WEB, API, FAR, JOB, OTHER),
)
"""Two nodes, and pods of two namespaces on each."""

CLIENT = Outside("client", (address("203.0.113.9"), address("2001:db8:9::9")))
SERVER = Outside("server", (address("198.51.100.7"), address("2001:db8:7::7")))
EVERYBODY = {"x/web", "x/api", "x/far", "y/job", "y/other", "outside/client", "outside/server"}
"""All that `BASE` and these two hosts come to."""

BOTH_FAMILIES = tuple(Family)
AS_DEFAULT = PolicyOptions()
PATIENCE = Patience(silent=0.25, retry=0.1)
UNSURE = Patience(silent=0.8, retry=0.15)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one probe is about, in words."""

    source: str
    destination: str
    port: str
    family: Family

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} {self.port} IPv{self.family.value}"


@dataclass(frozen=True, slots=True)
class Table:
    """Which probes reached whom they were meant for; all others were refused."""

    reached: Mapping[Asked, bool]

    def reaching(self, destination: str, port: str = "80/TCP", *families: Family) -> set[str]:
        """Who reaches `destination`; an AssertionError where that differs by family."""
        return self._agreed(
            {
                family: {a.source for a in self._chosen(port, family) if a.destination == destination}
                for family in families or BOTH_FAMILIES
            }
        )

    def reached_from(self, source: str, port: str = "80/TCP", *families: Family) -> set[str]:
        """Whom `source` reaches; an AssertionError where that differs by family."""
        return self._agreed(
            {
                family: {a.destination for a in self._chosen(port, family) if a.source == source}
                for family in families or BOTH_FAMILIES
            }
        )

    def _chosen(self, port: str, family: Family) -> Iterator[Asked]:
        assert any(a.port == port and a.family is family for a in self.reached), f"{port} {family} was not probed"
        return (a for a, reached in self.reached.items() if reached and (a.port, a.family) == (port, family))

    def _agreed(self, by_family: Mapping[Family, set[str]]) -> set[str]:
        first, *others = by_family.values()
        assert all(other == first for other in others), f"the families differ: {by_family}"
        return first


class Cluster:
    """A lab of the nodes and pods of `base`, and the firewall on every node.

    `base` exists whatever a test adds; an object of the same kind and name takes the place of one of it.
    `directory` is where the manifests are. Nodes that `variants` names write by theirs, all others by `variant`.
    """

    def __init__(
        self,
        directory: Path,
        base: Iterable[Object] = BASE,
        outside: Iterable[Outside] = (CLIENT, SERVER),
        *,
        variant: Variant = Variant.NFT,
        variants: Mapping[str, Variant] | None = None,
        wiring: Wiring = Wiring.ROUTED,
    ) -> None:
        self.directory = directory
        self.variant = variant
        self._variants = variants or {}
        self._base = tuple(base)
        self._snapshot = world(*self._base)
        self._oracle = Oracle(self._snapshot)
        hosts = tuple(outside)
        self._outside = tuple(map(str, hosts))
        self.lab = Lab(self._snapshot.nodes.values(), self._snapshot.pods.values(), hosts, wiring)

    def close(self) -> None:
        """The lab is gone."""
        self.lab.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- manifests and commands

    def write(self, *objects: Object, raw: Iterable[Manifest] = (), options: PolicyOptions = AS_DEFAULT) -> None:
        """The directory holds the base, `objects` and the `raw` manifests; the oracle judges by the same.

        What is given as manifests is read back by the product's reader, for want of a second one.
        """
        self._snapshot = world(*self._base, *objects)
        wanted = {_identity(each): each for each in manifests(self._snapshot)}
        given = {_identity(each): each for each in raw}
        write_manifests(self.directory, {**wanted, **given}.values())
        if given:
            self._snapshot = load(self.directory, options).snapshot
        self._oracle = Oracle(self._snapshot)

    def judge_by(self, snapshot: Snapshot) -> None:
        """The directory holds this world and nothing of the base; the oracle judges by it as it is read (M6)."""
        write_manifests(self.directory, manifests(snapshot))
        self._snapshot = load(self.directory, PolicyOptions()).snapshot
        self._oracle = Oracle(self._snapshot)

    def run(self, *flags: str, nodes: Iterable[str] | None = None) -> dict[str, str]:
        """What `netpol run` said on each of the nodes, by default all; an AssertionError where it failed on one."""
        chosen = self.lab.nodes if nodes is None else nodes
        running = {node: Command(self._machine(node), self.run_arguments(node, *flags)) for node in chosen}
        answers = {node: command.wait() for node, command in running.items()}
        for name, answer in answers.items():
            assert answer.returncode == 0, f"netpol run on {name}: {answer.stderr}{answer.stdout}"
        return {node: answer.stdout for node, answer in answers.items()}

    def enforce(self, *objects: Object, raw: Iterable[Manifest] = (), flags: Sequence[str] = ()) -> None:
        """Every node enforces the base, `objects` and the `raw` manifests."""
        self.write(*objects, raw=raw)
        self.run(*flags)

    def run_on(self, node: str, *flags: str) -> CompletedProcess[str]:
        """What `netpol run --once` said and returned on one node."""
        return self.netpol(node, *self.run_arguments(node, *flags))

    def run_arguments(self, node: str, *flags: str) -> list[str]:
        """The command line that makes `node` enforce what the directory holds."""
        return ["run", "--run-firewall", "--once", *self.arguments(node), *flags]

    def arguments(self, node: str) -> tuple[str, ...]:
        """What `run` and `verify` are told on this node."""
        variant = self._variants.get(node, self.variant)
        return "--source", str(self.directory), "--hostname-override", node, "--iptables-variant", variant.value

    def netpol(self, node: str, *arguments: str, user: int = 0) -> CompletedProcess[str]:
        """What a netpol command said and returned in the namespace of `node`, run by `user`."""
        return Command(self._machine(node), arguments, user).wait()

    def shell(self, node: str, *command: str, given: str | None = None) -> str:
        """What a command wrote in the namespace of `node`; an AssertionError where it failed."""
        done = self._machine(node).run(command, given)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def _machine(self, node: str) -> NetworkNamespace:
        return self.lab.namespace(f"node/{node}")

    # --- packets

    def probe(
        self,
        *ports: str,
        families: Sequence[Family] = BOTH_FAMILIES,
        sources: Iterable[str] | None = None,
        destinations: Iterable[str] | None = None,
    ) -> Table:
        """The table of every ordered pair, by default of the pods and hosts outside, found to be as the oracle has it.

        AssertionError with every probe that went another way.
        """
        questions = {
            self.question(asked.source, asked.destination, asked.port, asked.family): asked
            for asked in self._asked(ports, families, sources, destinations)
        }
        right = {question: self._right_outcomes(question) for question in questions}
        allowed = {question for question, outcomes in right.items() if Outcome.REACHED in outcomes}
        found = probe(questions, expected=allowed, patience=PATIENCE)
        wrong = {
            str(questions[question]): f"{outcome.value}; the oracle {'allows' if question in allowed else 'refuses'} it"
            for question, outcome in found.items()
            if outcome not in right[question]
        }
        assert wrong == {}, wrong
        return Table({asked: question in allowed for question, asked in questions.items()})

    def reaches(self, source: str, destination: str, port: str = "80/TCP", family: Family = Family.IPV4) -> bool:
        """True where one probe gets through, whatever the oracle would say; a refusal is an AssertionError."""
        question = self.question(source, destination, port, family)
        outcome = probe([question], patience=UNSURE)[question]
        assert outcome in (Outcome.REACHED, Outcome.SILENT), f"{question}: {outcome}"
        return outcome is Outcome.REACHED

    def place(self, destination: str, port: str = "80/TCP", family: Family = Family.IPV4) -> Place:
        """A port of a pod, node or host."""
        return Place(self.lab.endpoint(destination, family), *protocol_and_port(port))

    def question(self, source: str, destination: str, port: str, family: Family = Family.IPV4) -> Probe:
        """The probe from one pod, node or host to a port of another."""
        return Probe(self.lab.endpoint(source, family), self.place(destination, port, family))

    def _asked(
        self,
        ports: Sequence[str],
        families: Sequence[Family],
        sources: Iterable[str] | None,
        destinations: Iterable[str] | None,
    ) -> Iterator[Asked]:
        everybody = (*self.lab.pods, *self._outside)
        for source in everybody if sources is None else sources:
            for destination in everybody if destinations is None else destinations:
                for family in families:
                    both = self._has(source, family) and self._has(destination, family)
                    if both and self.lab.namespace(source) is not self.lab.namespace(destination):
                        yield from (Asked(source, destination, port, family) for port in ports)

    def _has(self, name: str, family: Family) -> bool:
        return any(family_of(address) is family for address in self.lab.addresses(name))

    def _right_outcomes(self, question: Probe) -> frozenset[Outcome]:
        """What may come of it, by the oracle and how the namespace of the pod that refuses it tells of that (X17)."""
        place = question.place
        connection = Connection(self._end(question.source), self._end(place.endpoint), place.protocol, place.port)
        verdict = self._oracle.judge(connection)
        if verdict.allowed:
            return frozenset({Outcome.REACHED})
        refusing = connection.destination if verdict.egress.allowed else connection.source
        assert isinstance(refusing, PodEnd), f"{refusing} refuses {question}"
        home = self._snapshot.namespaces.get(refusing.pod.namespace)
        if home is None or home.deny_action is not DenyAction.REJECT:
            return frozenset({Outcome.SILENT})
        # The kernel sends one address only so many ICMP errors a second; a reset is no such error.
        told = frozenset({Outcome.REFUSED})
        return told if place.protocol is Protocol.TCP else told | {Outcome.SILENT}

    def _end(self, endpoint: Endpoint) -> End:
        """Who the oracle takes the endpoint for; a node is one even where no Node object tells of it (G8)."""
        kind, _, name = endpoint.namespace.name.partition("/")
        if kind == "node":
            return NodeEnd(self._snapshot.nodes.get(name, Node(name)), endpoint.address)
        return self._oracle.end_at(endpoint.address)


def protocol_and_port(text: str) -> tuple[Protocol, int | None]:
    """What a port is on the command line.

    >>> protocol_and_port("53/UDP"), protocol_and_port("ICMP")
    ((<Protocol.UDP: 'UDP'>, 53), (<Protocol.ICMP: 'ICMP'>, None))
    """
    number, _, protocol = text.rpartition("/")
    return Protocol(protocol), int(number) if number else None


def write_manifests(directory: Path, objects: Iterable[Manifest]) -> None:
    """Make `directory` hold these objects and no others."""
    for old in directory.iterdir():
        old.unlink()
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    (directory / "world.json").write_text(json.dumps(whole), encoding="utf-8")


def _identity(manifest: Manifest) -> tuple[object, ...]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace"), metadata["name"]
