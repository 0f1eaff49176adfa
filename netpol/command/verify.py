"""`netpol verify`: proves that the kernel holds what the policies ask for, or lists the drift."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from netpol.command.kernel_arguments import add_kernel_arguments, chosen_variant, require_root
from netpol.command.node_arguments import add_node_arguments, load_for_node, node_options
from netpol.command.source_arguments import add_source_arguments
from netpol.compiler.compile import compile_ruleset
from netpol.dataplane.apply import left_in
from netpol.dataplane.opening import open_kernel, other_tables
from netpol.dataplane.plan import plan
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)
from netpol.model.networks import Family
from netpol.settings import Variant

HELP = "compare this node's kernel with what the policies ask for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_node_arguments(parser)
    add_kernel_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where the kernel holds what the policies ask for, 1 where it does not: the drift is printed."""
    options = node_options(arguments)
    require_root("netpol verify")
    ruleset = compile_ruleset(load_for_node(arguments, options), options)
    variant = chosen_variant(arguments)
    with open_kernel(variant) as kernel:
        lines = [*drift(plan(ruleset, kernel.read(options.families))), *_superseded(variant)]
    print("\n".join(lines) or f"{options.name}: the kernel holds what the policies ask for")
    return 1 if lines else 0


def _superseded(variant: Variant) -> Iterator[str]:
    """A line for each table of another variant whose rules still judge packets too."""
    for other, tables in other_tables(variant).items():
        for family in Family:
            if left_in(tables, family):
                yield f"IPv{family.value} filter table: the {other.value} variant holds rules of ours too"


def drift(steps: tuple[Step, ...]) -> Iterator[str]:
    """What the kernel lacks or has too much, given the steps that would mend it."""
    created = {each.name for step in steps if isinstance(step, CreateSets) for each in step.sets}
    for step in steps:
        match step:
            case CreateSets(sets):
                yield from (f"set {each.name} is missing ({each.meaning})" for each in sets)
            case AddMembers(target, members) if target.name not in created:
                yield f"set {target.name} lacks {len(members)} members ({target.meaning})"
            case AddMembers():
                pass
            case ReplaceMembers(target, members):
                yield f"set {target.name} has {len(members)} members with another comment or flag ({target.meaning})"
            case RemoveMembers(target, members):
                yield f"set {target.name} has {len(members)} members too many ({target.meaning})"
            case WriteTable(family=family, chains=chains):
                what = f"chains {', '.join(chains)} differ" if chains else "the hooks differ"
                yield f"IPv{family.value} filter table: {what}"
            case DestroySets(sets):
                yield from (f"set {each.name} is left over" for each in sets)
