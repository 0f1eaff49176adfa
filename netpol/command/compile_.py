"""`netpol compile`: the sets and rules one node would get."""

from __future__ import annotations

import argparse
import ipaddress
import json
from collections.abc import Iterator

from netpol.command.arguments import add_source_arguments, load_snapshot
from netpol.command.node_arguments import add_node_arguments, node_options
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import AddressPort, IpSet, Member, NetworkMember, Ruleset, SetReference
from netpol.dataplane.render import render_table

HELP = "print the sets and rules that a node would get"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_node_arguments(parser)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default text)")


def run(arguments: argparse.Namespace) -> int:
    """0 once the ruleset is printed."""
    ruleset = compile_ruleset(load_snapshot(arguments).snapshot, node_options(arguments))
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
    """The ruleset for people: every set with what it means, then the rules of each family."""
    for name, each in sorted(ruleset.sets.items()):
        yield f"set {name} {each.type.value}" + (f"  # {each.meaning}" if each.meaning else "")
        yield from (f"    {_member_text(member)}" for member in _sorted(each))
    for family, table in ruleset.tables.items():
        rendered = render_table(table, family)
        yield f"\nfilter table, IPv{family.value}"
        yield from (f"-I {hook.value} 1 {rule}" for hook, rule in rendered.hooks.items())
        for name, rules in sorted(rendered.chains.items()):
            yield f":{name}"
            yield from (f"-A {name} {rule}" for rule in rules)


def _sorted(each: IpSet) -> list[Member]:
    return sorted(each.members, key=_member_text)


def _member_text(member: Member) -> str:
    """The member as `ipset save` prints it."""
    match member:
        case bytes():
            return str(ipaddress.ip_address(member))
        case NetworkMember(packed, prefix, nomatch):
            return f"{ipaddress.ip_address(packed)}/{prefix}" + (" nomatch" if nomatch else "")
        case AddressPort(packed, protocol, port):
            return f"{ipaddress.ip_address(packed)},{protocol.value.lower()}:{port}"
        case SetReference(name, comment):
            return f'{name} comment "{comment}"' if comment else name


def _member_json(member: Member) -> object:
    if isinstance(member, SetReference):
        return {"set": member.name, "comment": member.comment}
    return _member_text(member)
