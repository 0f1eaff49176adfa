"""`netpol compile`: the sets and rules one node would get."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from netpol.command.arguments import add_output_argument
from netpol.command.node_arguments import add_node_arguments, load_for_node, node_options
from netpol.command.source_arguments import add_source_arguments
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import IpSet, Member, Ruleset, SetReference, SetType
from netpol.dataplane.ipset_messages import LIST_SIZE, MAX_MEMBERS
from netpol.dataplane.members import describe
from netpol.dataplane.render import RenderedTable, render_table
from netpol.model.networks import Family

HELP = "print the sets and rules that a node would get"

_RESTORE = {Family.IPV4: "iptables-restore", Family.IPV6: "ip6tables-restore"}
_FAMILY_OPTIONS = {Family.IPV4: "inet", Family.IPV6: "inet6"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_node_arguments(parser)
    add_output_argument(parser, "text")


def run(arguments: argparse.Namespace) -> int:
    """0 once the ruleset is printed."""
    options = node_options(arguments)
    ruleset = compile_ruleset(load_for_node(arguments, options), options)
    if arguments.output == "json":
        print(json.dumps(as_json(ruleset), indent=2))
    else:
        print("\n".join(as_text(ruleset)))
    return 0


def as_json(ruleset: Ruleset) -> dict[str, object]:
    """The ruleset as JSON has it: sets by name; by family, the rules of hooks and chains as iptables takes them."""
    rendered = {family: render_table(table, family) for family, table in ruleset.tables.items()}
    return {
        "sets": {
            name: {
                "type": each.type.value,
                "family": None if each.family is None else f"ipv{each.family.value}",
                "timeout_seconds": each.timeout_seconds,
                "meaning": each.meaning,
                "members": [_member_json(member) for member in _sorted(each)],
            }
            for name, each in sorted(ruleset.sets.items())
        },
        "tables": {
            f"ipv{family.value}": {
                "hooks": {hook.value: rule for hook, rule in table.hooks.items()},
                "chains": {name: list(rules) for name, rules in sorted(table.chains.items())},
            }
            for family, table in rendered.items()
        },
    }


def as_text(ruleset: Ruleset) -> Iterator[str]:
    """The ruleset for people, and for the tools: each section is headed by the command that loads it.

    It loads once, into a network namespace that has none of it: the hooks' rules would be there twice.
    """
    yield "# ipset restore"
    # A list names its members, so they must be there before it.
    for each in sorted(ruleset.sets.values(), key=lambda each: (each.type is SetType.SETS, each.name)):
        yield ""
        yield from _set_lines(each)
    for family, table in ruleset.tables.items():
        yield ""
        yield f"# {_RESTORE[family]} --noflush"
        yield from _table_lines(render_table(table, family))


def _set_lines(each: IpSet) -> Iterator[str]:
    if each.meaning:
        yield f"# {each.meaning}"
    yield f"create {each.name} {each.type.value} {_set_options(each)}"
    yield from (f"add {each.name} {_member_text(member)}" for member in _sorted(each))


def _set_options(each: IpSet) -> str:
    """The options that `netpol run` creates the set with, but for the size that its hash has at first."""
    if each.family is None:
        return f"size {LIST_SIZE} comment"
    timeout = "" if each.timeout_seconds is None else f" timeout {each.timeout_seconds}"
    return f"family {_FAMILY_OPTIONS[each.family]} maxelem {MAX_MEMBERS}{timeout}"


def _table_lines(table: RenderedTable) -> Iterator[str]:
    """All chains come first: a rule cannot lead to one that is not there."""
    chains = sorted(table.chains.items())
    yield "*filter"
    yield from (f":{name} - [0:0]" for name, _ in chains)
    yield ""
    yield from (f"-I {hook.value} 1 {rule}" for hook, rule in table.hooks.items())
    for name, rules in chains:
        if rules:
            yield ""
            yield from (f"-A {name} {rule}" for rule in rules)
    yield "COMMIT"


def _sorted(each: IpSet) -> list[Member]:
    return sorted(each.members, key=describe)


def _member_text(member: Member) -> str:
    """The member as `ipset save` prints it, with its comment."""
    comment = member.comment if isinstance(member, SetReference) else ""
    return f'{describe(member)} comment "{comment}"' if comment else describe(member)


def _member_json(member: Member) -> object:
    if isinstance(member, SetReference):
        return {"set": member.name, "comment": member.comment}
    return describe(member)
