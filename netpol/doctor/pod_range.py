"""Whether the node's pod range is known, without which nothing is dropped of a pod that is not known yet (G12)."""

from __future__ import annotations

from netpol.compiler.gates import pod_cidrs
from netpol.doctor.checks import FIREWALL, Check, State
from netpol.model.networks import family_of
from netpol.model.objects import Node
from netpol.settings import NodeOptions


def pod_range_checks(node: Node | None, options: NodeOptions) -> list[Check]:
    """A check for each family that is written, of the ranges that the Node object and the flags state."""
    stated = pod_cidrs(node, options)
    checks: list[Check] = []
    for family in options.families:
        ranges = ", ".join(str(cidr) for cidr in stated if family_of(cidr) is family)
        name, functions = f"IPv{family.value} pod range", (FIREWALL[family],)
        if ranges:
            checks.append(Check(name, functions, State.OK, ranges))
        elif options.fail_open:
            checks.append(Check(name, functions, State.WARNING, "--fail-open lets unknown addresses pass (G12)"))
        else:
            found = "not known: a new pod is open until its policies are in force (G12)"
            checks.append(Check(name, functions, State.WARNING, found, "name the range with --pod-cidr"))
    return checks
