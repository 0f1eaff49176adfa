"""Connections between all pods of a cluster, and from the world outside, each tried and set beside what should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product

from testbed.guestbook import CONTAINERS
from testbed.live_cluster import LiveCluster
from testbed.node import OUTSIDE
from testbed.node_files import OUTSIDE_V4, OUTSIDE_V6

from netpol.demo.measurement import Contact, Measurement
from netpol.lab.prober import Outcome
from netpol.model.networks import Address, family_of
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection
from netpol.policy.verdict import Oracle
from netpol.settings import PolicyOptions
from netpol.source.manifests import load

WORLD = "outside/world"
KINDS = "nodes,namespaces,pods,networkpolicies"

ALLOWED_SECONDS, REFUSED_SECONDS = 10, 2
"""How long an answer is waited for where one should come, and where none should: until TCP has tried twice."""

_FUNCTION = r"""
ask() {
    answer=$(printf 'GET /hostname HTTP/1.0\r\n\r\n' | busybox nc -w "$3" "$1" "$2" 2>&1)
    echo "$1 $2 ${answer##*[!a-z0-9.-]}"
}
"""
_LAST_WORDS = {"out": Outcome.SILENT, "refused": Outcome.REFUSED}
"""Of `timed out` and `Connection refused`; who answers says a name."""


Answers = Mapping[tuple[str, str], str]
"""By address and port, the last word of what was answered."""


@dataclass(frozen=True, slots=True)
class End:
    """A pod, or the host outside, at one of its addresses."""

    name: str
    address: Address

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


@dataclass(frozen=True, slots=True)
class Question:
    """A connection to be tried, and whether it should open."""

    source: End
    destination: End
    port: ProtocolPort
    allowed: bool

    @property
    def line(self) -> str:
        """The question as the script puts it."""
        seconds = ALLOWED_SECONDS if self.allowed else REFUSED_SECONDS
        return f"ask {self.destination.address} {self.port.port} {seconds} &"

    def outcome(self, answers: Answers) -> Outcome:
        """What came of it."""
        word = answers[str(self.destination.address), str(self.port.port)]
        if word == self.destination.name.partition("/")[2]:
            return Outcome.REACHED
        return _LAST_WORDS.get(word, Outcome.WRONG_END)


def snapshot_of(cluster: LiveCluster) -> Snapshot:
    """What kubectl prints of the cluster, as it is read from files."""
    dump = cluster.directory / "objects.json"
    dump.write_text(cluster.kubectl("get", KINDS, "--all-namespaces", "-o", "json"))
    return load(dump, PolicyOptions()).snapshot


def measure(cluster: LiveCluster, snapshot: Snapshot, ports: Sequence[ProtocolPort]) -> Measurement:
    """What came of every connection, over each family; whether it should open is judged by the snapshot."""
    pods = [pod for pod in snapshot.pods.values() if pod.actionable]
    receivers = sorted((End(str(pod), address) for pod in pods for address in pod.addresses), key=lambda end: end.name)
    visitors = [End(WORLD, ip_address(address)) for address in (OUTSIDE_V4, OUTSIDE_V6)]
    questions = list(_questions(Oracle(snapshot), [*receivers, *visitors], receivers, ports))
    sources = tuple(dict.fromkeys(end.name for end in (*receivers, *visitors)))
    with ThreadPoolExecutor(len(sources)) as pool:
        answers = dict(
            zip(sources, pool.map(lambda source: _answers(cluster, source, questions), sources), strict=True)
        )
    contacts = tuple(
        Contact(each.source, each.destination, each.port, each.outcome(answers[each.source.name]), each.allowed)
        for each in questions
    )
    return Measurement(sources, tuple(name for name in sources if name != WORLD), contacts)


def _questions(
    oracle: Oracle, senders: Sequence[End], receivers: Sequence[End], ports: Sequence[ProtocolPort]
) -> Iterator[Question]:
    for sender, receiver, port in product(senders, receivers, ports):
        if sender.name != receiver.name and family_of(sender.address) is family_of(receiver.address):
            ends = oracle.end_at(sender.address), oracle.end_at(receiver.address)
            allowed = oracle.judge(Connection(*ends, port.protocol, port.port)).allowed
            yield Question(sender, receiver, port, allowed)


def _answers(cluster: LiveCluster, source: str, questions: Iterable[Question]) -> Answers:
    """What came of all that `source` was to try, asked at the same time."""
    lines = (question.line for question in questions if question.source.name == source)
    shell = ("busybox", "sh", "-c", "\n".join([_FUNCTION, *lines, "wait"]))
    if source == WORLD:
        written = cluster.run("ip", "netns", "exec", OUTSIDE, *shell)
    else:
        namespace, _, name = source.partition("/")
        written = cluster.kubectl("-n", namespace, "exec", name, "--container", CONTAINERS[0], "--", *shell)
    return {(address, port): word for address, port, word in map(str.split, written.splitlines())}
