"""`netpol demo`: policies carried out on this machine, with namespaces as pods and real packets."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from textwrap import fill

from netpol.command.arguments import add_policy_arguments, policy_options, protocol_port
from netpol.command.contacts import Reached, contact_legend, contact_table, totals
from netpol.command.kernel_arguments import add_kernel_arguments
from netpol.command.table import Look, Paint, grid, legend, look_of
from netpol.demo.agents import run_agents
from netpol.demo.completion import MOST_NAMES, complete
from netpol.demo.measurement import Measurement, measure
from netpol.demo.ports import MOST_PORTS, ports_worth_probing
from netpol.demo.walk import STEPS, Step, apply
from netpol.errors import NetpolError
from netpol.lab.lab import Lab
from netpol.lab.namespace import require_namespaces
from netpol.lab.topology import Outside
from netpol.listing import first_lines, listed
from netpol.model.ports import Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection
from netpol.policy.prose import verdict_sentences
from netpol.policy.verdict import Detail, Oracle
from netpol.source.manifests import Loaded, load

HELP = "show the firewall at work: pods as network namespaces, every pair probed with packets"

HTTP, REDIS, DNS = ProtocolPort(Protocol.TCP, 80), ProtocolPort(Protocol.TCP, 6379), ProtocolPort(Protocol.UDP, 53)
WALK_PORTS = (HTTP, REDIS, DNS)
VISITOR = Outside("laptop", (ip_address("203.0.113.7"), ip_address("2001:db8:113::7")))
EXPLAINED = (
    ("production/toolbox", "production/redis-1", REDIS),
    ("staging/client", "production/redis-1", REDIS),
    ("production/frontend-1", "production/toolbox", HTTP),
)
MOST_PODS = 100
MOST_DIFFERENCES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    parser.add_argument(
        "-f",
        "--filename",
        "--source",
        dest="source",
        type=Path,
        metavar="DIR",
        help="a directory of your own manifests instead of the guestbook's",
    )
    parser.add_argument(
        "-p",
        "--port",
        dest="ports",
        action="append",
        metavar="PORT/PROTO",
        help="with --source: 80/TCP, 53/UDP, 9999/SCTP or ICMP, more than once if need be (default: the ports that "
        f"policies and containers name, at most {MOST_PORTS} of them)",
    )
    add_policy_arguments(parser)
    add_kernel_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where every packet went as the policies say, 1 where one did not."""
    ports = [protocol_port(text) for text in arguments.ports or ()]
    require_namespaces()
    _allow_many_sockets()
    begun = time.monotonic()
    look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
    with _terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="netpol-demo-") as directory:
        if arguments.source is None:
            differences = _walk(arguments, Path(directory), ports or WALK_PORTS, look)
        else:
            differences = _carry_out(arguments, Path(directory), ports, look)
    _say(
        "",
        "Cleaned up: the namespaces are gone, and all sets and rules with them. This host's own network was never "
        f"touched. ({time.monotonic() - begun:.1f} s)",
    )
    return 1 if differences else 0


def _walk(arguments: argparse.Namespace, directory: Path, ports: Sequence[ProtocolPort], look: Look) -> int:
    """The number of differences that the guestbook's steps showed."""
    differences = 0
    before: Reached | None = None
    apply(STEPS[0], directory)
    snapshot = load(directory, policy_options(arguments)).snapshot
    begun = time.monotonic()
    with Lab(snapshot.nodes.values(), snapshot.pods.values(), [VISITOR]) as lab:
        _say(
            f"{len(lab.nodes)} nodes, {len(lab.pods)} pods on them and a host outside the cluster are network "
            f"namespaces of this machine, made in {time.monotonic() - begun:.1f} s.",
            "",
            contact_legend(look),
        )
        for number, step in enumerate(STEPS, start=1):
            apply(step, directory)
            snapshot = load(directory, policy_options(arguments)).snapshot
            _introduce(number, step, look)
            _say(*_agents_words(run_agents(lab, directory, _agent_flags(arguments))), "")
            measurement = measure(lab, snapshot, ports, [str(VISITOR)])
            reached = {str(port): measurement.reachability(port) for port in ports}
            _say(*contact_table(reached, before, look), "", totals(reached, before, look))
            _compare(measurement)
            differences += len(measurement.differences)
            before = reached
        _say("")
        _explain(snapshot, look)
    return differences


def _introduce(number: int, step: Step, look: Look) -> None:
    title = look.painted(f"{number}. {step.title}", Paint.HEADING)
    _say("", title, f"   $ {step.command}", f"   {step.meaning}", "")


def _explain(snapshot: Snapshot, look: Look) -> None:
    """Why some of the last step's pairs were refused, as `netpol explain` says it."""
    oracle = Oracle(snapshot)
    _say(look.painted("Why?", Paint.HEADING))
    for source, destination, port in EXPLAINED:
        ends = [oracle.ends_named(name)[0] for name in (source, destination)]
        connection = Connection(ends[0], ends[1], port.protocol, port.port)
        sentences = verdict_sentences(connection, oracle.judge(connection, Detail.FULL))
        _say(f"   $ netpol explain -f manifests/examples {source} {destination} {port}")
        _say(*(fill(text, look.width, initial_indent="   ", subsequent_indent="     ") for text in sentences))


def _carry_out(arguments: argparse.Namespace, directory: Path, ports: Sequence[ProtocolPort], look: Look) -> int:
    """The number of differences that a person's own manifests showed."""
    completed = complete(arguments.source, load(arguments.source, policy_options(arguments)).snapshot)
    completed.write(directory / "completed.json")
    loaded = load(directory, policy_options(arguments))
    _warn(loaded)
    snapshot = loaded.snapshot
    _check_size(snapshot, arguments.source)
    if not ports:
        worth = ports_worth_probing(snapshot, completed.objects)
        ports, left_out = worth[:MOST_PORTS], worth[MOST_PORTS:]
        _say(f"ports probed: {_words(ports)}{f'; left out: {_words(left_out)} (-p names others)' if left_out else ''}")
    _say(*completed.additions, *_not_probed(snapshot))
    with Lab(snapshot.nodes.values(), snapshot.pods.values()) as lab:
        _say(*_agents_words(run_agents(lab, directory, _agent_flags(arguments))), "")
        measurement = measure(lab, snapshot, ports)
    for port in ports:
        _say(*grid(str(port), measurement.reachability(port), look), "")
    _say(legend(look), "")
    _compare(measurement)
    return len(measurement.differences)


def _check_size(snapshot: Snapshot, source: Path) -> None:
    pods = sum(pod.actionable for pod in snapshot.pods.values())
    if pods == 0:
        raise NetpolError(f"{source}: holds no pod to probe, and no workload to make one of")
    if pods > MOST_PODS:
        raise NetpolError(f"{source}: {pods} pods are more than one machine plays well; at most {MOST_PODS} are")


def _not_probed(snapshot: Snapshot) -> Iterable[str]:
    finished = [pod for pod in snapshot.pods.values() if pod.finished]
    on_hosts = [pod for pod in snapshot.pods.values() if pod.host_network and not pod.finished]
    if finished:
        yield f"not probed, because they have finished: {listed(finished, MOST_NAMES)}"
    if on_hosts:
        names = listed(on_hosts, MOST_NAMES)
        yield f"not probed, because they use their node's network, where no policy selects them: {names}"


def _compare(measurement: Measurement) -> None:
    """Say whether packets did what the policies say, over all families."""
    differences, asked = measurement.differences, len(measurement.contacts)
    families = sorted({contact.destination.address.version for contact in measurement.contacts})
    over = " and ".join(f"IPv{family}" for family in families)
    if not differences:
        _say(f"All {asked} connections tried over {over} went as the policies say.")
    else:
        _say(f"{len(differences)} of {asked} connections tried over {over} did NOT go as the policies say:")
        _say(*(f"  {line}" for line in first_lines(differences, MOST_DIFFERENCES)))
    _say(*(f"Not the same for every address: {source} -> {destination}" for source, destination in measurement.divided))


def _agents_words(said: Iterable[str]) -> Iterable[str]:
    return (f"   the agent on {line}" for line in said)


def _agent_flags(arguments: argparse.Namespace) -> list[str]:
    flags = [f"--v1beta1-semantics={arguments.v1beta1_semantics}", f"--iptables-variant={arguments.iptables_variant}"]
    return [*flags, "--strict-annotations"] if arguments.strict_annotations else flags


def _warn(loaded: Loaded) -> None:
    for message in (*loaded.notices, *loaded.warnings):
        print(f"warning: {message}", file=sys.stderr)


def _words(ports: Iterable[ProtocolPort]) -> str:
    return ", ".join(map(str, ports))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that the temporary directory goes too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _allow_many_sockets() -> None:
    """As many files may be open as the system allows this process: each probe under way takes a few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
