"""What a table holds of ours, from the text of iptables-save."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from netpol.compiler.names import PREFIX
from netpol.compiler.ruleset import TABLE_HOOKS, Hook, TableName
from netpol.dataplane.kernel import HookRule, KernelTable
from netpol.dataplane.ownership import FIREWALL, Ownership, Place
from netpol.dataplane.render import STATES, TUNNEL_NUMBERS, protocol_name
from netpol.dataplane.ruletext import destination, respell, split
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import PROTOCOL_NUMBERS, Protocol

_RULE = re.compile(r"(?:\[\d+:\d+\] )?-A (\S+)(?: (.*))?")
_INCOMPATIBLE = re.compile(r"# Table `\w+' is incompatible")

# Without /etc/protocols (a slim image has none) the tools print other names, or numbers; and what
# is written as a number, because they would not know its name then, is printed by name where there is one.
_PROTOCOLS = {
    "icmpv6": protocol_name(Protocol.ICMP, Family.IPV6),
    "ipencap": str(TUNNEL_NUMBERS[Family.IPV4]),
    "ipv4": str(TUNNEL_NUMBERS[Family.IPV4]),
    "ipv6": str(TUNNEL_NUMBERS[Family.IPV6]),
    **{
        str(number): protocol_name(protocol, family)
        for family, numbers in PROTOCOL_NUMBERS.items()
        for protocol, number in numbers.items()
    },
}
_STATES = [state.value for state in STATES]


def parse_table(saved: str, table: TableName = TableName.FILTER, ownership: Ownership = FIREWALL) -> KernelTable:
    """The chains of ours, and every rule elsewhere that leads to one, from `iptables-save -t TABLE`.

    Everything else may be written as oddly as it likes. KernelRefusal where the tool
    says it cannot show the table.
    """
    if _INCOMPATIBLE.search(saved):
        raise KernelRefusal(
            f"the {table.value} table holds rules that iptables-nft cannot read: something writes to it with nft;"
            " give that its own table, or choose the other variant with --iptables-variant=legacy"
        )
    is_ours, is_neighbours = ownership.is_ours, ownership.is_neighbours
    hooks = {hook.value: hook for hook in TABLE_HOOKS[table]}
    chains: dict[str, list[str]] = {}
    entries: dict[str, list[HookRule]] = {}
    lengths: dict[str, int] = {}
    others: dict[str, int] = {}
    places: dict[Hook, int] = {}
    for line in saved.split("\n"):
        if line.startswith(":"):
            chain = line[1:].split(" ", 1)[0]
            if is_ours(chain):
                chains.setdefault(chain, [])
        elif rule := _RULE.fullmatch(line):
            chain, text = rule[1], rule[2] or ""
            if is_ours(chain):
                chains.setdefault(chain, []).append(normalise(text))
                continue
            # Almost every rule of others is passed over by this look at the bare text.
            leads_to = (PREFIX in text and destination(split(text))) or ""
            leads_to_us = is_ours(leads_to)
            others[chain] = others.get(chain, 0) + (not leads_to_us)
            if chain in hooks and is_neighbours(leads_to):
                if ownership.place is Place.BEHIND:
                    entries[chain] = [replace(rule, position=0) for rule in entries.get(chain, ())]
                    lengths[chain], places[hooks[chain]] = 0, others[chain] + 1
                continue
            position = lengths[chain] = lengths.get(chain, 0) + 1
            if leads_to_us:
                entries.setdefault(chain, []).append(HookRule(position, normalise(text)))
    return KernelTable(
        hooks={hook: tuple(entries.get(name, ())) for name, hook in hooks.items()},
        chains={name: tuple(rules) for name, rules in chains.items()},
        strays={name: tuple(rules) for name, rules in entries.items() if name not in hooks},
        places=places,
    )


@lru_cache(maxsize=1 << 13)
def normalise(rule: str) -> str:
    """The rule as `render` writes it, whatever the variant, version and spacing; its meaning is the same.

    >>> normalise("-s 10.0.0.7  -m conntrack --ctstate RELATED,NEW -j DROP")
    '-s 10.0.0.7/32 -m conntrack --ctstate NEW,RELATED -j DROP'
    """
    spelled = respell(rule, _SPELLINGS)
    return rule if spelled == rule else spelled


def _spell_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def _spell_protocol(text: str) -> str:
    return _PROTOCOLS.get(text, text)


def _spell_states(text: str) -> str:
    states = text.split(",")
    if not set(states) <= set(_STATES):
        return text
    return ",".join(sorted(states, key=_STATES.index))


_SPELLINGS: dict[str, Callable[[str], str]] = {
    "-s": _spell_network,
    "-d": _spell_network,
    "-p": _spell_protocol,
    "--ctstate": _spell_states,
}
