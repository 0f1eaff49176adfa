"""What `netpol demo` does and says: the guestbook's walk, or a person's own manifests carried out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from textwrap import fill

from netpol.audit.clock import wall_clock
from netpol.command import audit
from netpol.command.look import Look, Paint
from netpol.command.source_arguments import warn
from netpol.command.table import CHANGED_MEANS, Outcomes, Panel, grids, legend, totals
from netpol.demo.audit_log import LabRecorders, recorded
from netpol.demo.completion import MOST_NAMES, complete
from netpol.demo.measurement import Measurement, measure
from netpol.demo.ports import MOST_PORTS, ports_worth_probing
from netpol.demo.walk import STEPS, Step, apply
from netpol.errors import NetpolError
from netpol.lab.lab import Lab
from netpol.lab.topology import Outside
from netpol.listing import first_lines, listed
from netpol.model.moments import rfc3339
from netpol.model.ports import Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.explanation import explain
from netpol.policy.reachability import Reachability
from netpol.settings import PolicyOptions
from netpol.source.manifests import load

Agents = Callable[[Lab, Path], Iterable[str]]
"""Programs every node of a lab from a directory, and hands back what the nodes' agents said."""

HTTP, REDIS, DNS = ProtocolPort(Protocol.TCP, 80), ProtocolPort(Protocol.TCP, 6379), ProtocolPort(Protocol.UDP, 53)
WALK_PORTS = (HTTP, REDIS, DNS)
VISITOR = Outside("laptop", (ip_address("203.0.113.7"), ip_address("2001:db8:113::7")))
EXPLAINED = (
    ("production/toolbox", "production/redis-1", REDIS),
    ("staging/client", "production/redis-1", REDIS),
    ("production/frontend-1", "production/toolbox", HTTP),
)
MOST_AUDITED = 16
MOST_PODS = 100
INDENT = "   "
MOST_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a story plays: `directory` is for the manifests that the agents are to read, `log` for the audit log."""

    directory: Path
    log: Path
    options: PolicyOptions
    agents: Agents
    look: Look


def walk(stage: Stage, ports: Sequence[ProtocolPort]) -> int:
    """The number of differences that the guestbook's steps showed."""
    differences = 0
    before: dict[ProtocolPort, Reachability] = {}
    apply(STEPS[0], stage.directory)
    snapshot = load(stage.directory, stage.options).snapshot
    begun = time.monotonic()
    with (
        Lab(snapshot.nodes.values(), snapshot.pods.values(), [VISITOR]) as lab,
        recorded(lab, stage.log) as recorders,
    ):
        say(
            f"{len(lab.nodes)} nodes, {len(lab.pods)} pods on them and a host outside the cluster are network "
            f"namespaces of this machine, made in {time.monotonic() - begun:.1f} s.",
            "",
            legend(Outcomes.PROBED, stage.look, CHANGED_MEANS),
        )
        for number, step in enumerate(STEPS, start=1):
            apply(step, stage.directory)
            begun_at = wall_clock()
            snapshot = load(stage.directory, stage.options).snapshot
            _introduce(number, step, stage.look)
            _program(lab, stage, recorders, snapshot)
            measurement = measure(lab, snapshot, ports, [str(VISITOR)])
            reached = {port: measurement.reachability(port) for port in ports}
            panels = [Panel(str(port), reached[port], before.get(port)) for port in ports]
            say(*grids(panels, stage.look, [str(VISITOR)]), "", totals(panels, Outcomes.PROBED, stage.look))
            compare(measurement)
            differences += len(measurement.differences)
            before = reached
        say("")
        _explain(snapshot, stage.look)
    say(
        "",
        stage.look.painted("What was refused, and why: the audit log of this run, kept until its end", Paint.HEADING),
    )
    asking, asked, _ = EXPLAINED[1]
    _read(stage, f"--pod={asked}", f"--peer={asking}", f"--since={rfc3339(begun_at)}")
    _read(stage, "--summary")
    return differences


def carry_out(stage: Stage, source: Path, ports: Sequence[ProtocolPort]) -> int:
    """The number of differences that a person's own manifests showed, on these ports or else on those they name."""
    completed = complete(source, load(source, stage.options).snapshot)
    completed.write(stage.directory / "completed.json")
    loaded = load(stage.directory, stage.options)
    warn(loaded)
    snapshot = loaded.snapshot
    _check_size(snapshot, source)
    if not ports:
        worth = ports_worth_probing(snapshot, completed.objects)
        ports, left_out = worth[:MOST_PORTS], worth[MOST_PORTS:]
        say(f"ports probed: {_words(ports)}{f'; left out: {_words(left_out)} (-p names others)' if left_out else ''}")
    say(*completed.additions, *_not_probed(snapshot))
    with Lab(snapshot.nodes.values(), snapshot.pods.values()) as lab, recorded(lab, stage.log) as recorders:
        _program(lab, stage, recorders, snapshot)
        measurement = measure(lab, snapshot, ports)
    panels = [Panel(str(port), measurement.reachability(port)) for port in ports]
    say(
        *grids(panels, stage.look), "", totals(panels, Outcomes.PROBED, stage.look), legend(Outcomes.PROBED, stage.look)
    )
    compare(measurement)
    _read(stage, "--summary")
    return len(measurement.differences)


def say(*lines: str) -> None:
    """The lines are on standard output, where a person sees them at once."""
    for line in lines:
        print(line, flush=True)


def compare(measurement: Measurement) -> None:
    """Whether packets did what the policies say is said, over all families."""
    differences, asked = measurement.differences, len(measurement.contacts)
    families = sorted({contact.destination.address.version for contact in measurement.contacts})
    over = " and ".join(f"IPv{family}" for family in families)
    if not differences:
        say(f"All {asked} connections tried over {over} went as the policies say.")
    else:
        say(f"{len(differences)} of {asked} connections tried over {over} did NOT go as the policies say:")
        say(*(f"  {line}" for line in first_lines(differences, MOST_DIFFERENCES)))
    say(*(f"Not the same for every address: {source} -> {destination}" for source, destination in measurement.divided))


def _introduce(number: int, step: Step, look: Look) -> None:
    title = look.painted(f"{number}. {step.title}", Paint.HEADING)
    say("", title, f"   $ {step.command}", f"   {step.meaning}", "")


def _program(lab: Lab, stage: Stage, recorders: LabRecorders, snapshot: Snapshot) -> None:
    with recorders.programming(snapshot):
        say(*(f"   the agent on {line}" for line in stage.agents(lab, stage.directory)), "")


def _read(stage: Stage, *flags: str) -> None:
    """What `netpol audit` makes of all that the nodes recorded, where they refused anything."""
    if not stage.log.exists():
        return
    parser = argparse.ArgumentParser()
    audit.add_arguments(parser)
    narrow = replace(stage.look, width=stage.look.width - len(INDENT))
    lines = audit.table_lines(parser.parse_args([f"--audit-log-path={stage.log}", *flags]), narrow)
    say("", f"   $ netpol audit {' '.join(flags)}", *(f"{INDENT}{line}" for line in first_lines(lines, MOST_AUDITED)))


def _explain(snapshot: Snapshot, look: Look) -> None:
    """Why some of the last step's pairs were refused, as `netpol explain` says it."""
    say(look.painted("Why?", Paint.HEADING))
    for source, destination, port in EXPLAINED:
        say(f"   $ netpol explain -f manifests/examples {source} {destination} {port}")
        sentences = explain(snapshot, source, destination, port).sentences
        say(*(fill(text, look.width, initial_indent="   ", subsequent_indent="     ") for text in sentences))


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


def _words(ports: Iterable[ProtocolPort]) -> str:
    return ", ".join(map(str, ports))
