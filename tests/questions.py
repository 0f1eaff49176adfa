"""Questions to the oracle as a person would type them."""

from __future__ import annotations

from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.ends import pair_of_one_family
from netpol.policy.judgement import Connection, Decision, Verdict
from netpol.policy.verdict import Detail, Oracle


def ask(snapshot: Snapshot, source: str, destination: str, port: str = "80/TCP") -> Verdict:
    """The verdict, with its nearest misses; the ends must have an address family in common."""
    oracle = Oracle(snapshot)
    pair = pair_of_one_family(oracle.ends_named(source), oracle.ends_named(destination))
    assert pair is not None, f"{source} and {destination} have no address family in common"
    asked = ProtocolPort.parse(port)
    return oracle.judge(Connection(*pair, asked.protocol, asked.port), Detail.FULL)


def ingress(snapshot: Snapshot, source: str, destination: str, port: str = "80/TCP") -> Decision:
    """The destination's side of the verdict."""
    return ask(snapshot, source, destination, port).ingress


def egress(snapshot: Snapshot, source: str, destination: str, port: str = "80/TCP") -> Decision:
    """The source's side of the verdict."""
    return ask(snapshot, source, destination, port).egress
