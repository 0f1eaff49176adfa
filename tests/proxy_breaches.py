"""What must not be so at any moment while services come to the kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable

from live_proxy import ProxyNode

from netpol.compiler.ruleset import AddressPort, AddressPortNetwork
from netpol.model.networks import Family
from proxy.model import ServerMark


def breaches(node: ProxyNode) -> list[str]:
    """What is unrecorded in the kernel at this moment, or open."""
    sets = {name: each.members for name, each in node.seen.sets.read().items()}
    recorded = {each[:3] for each in ports(sets.get("NETPOL-SERVICE-OWNED-4", ()))}
    let_in = {
        each[:3] for name in ("NETPOL-SERVICES-4", "NETPOL-SERVICE-SERVED-4") for each in ports(sets.get(name, ()))
    }
    restricted = {each[:3] for each in ports(sets.get("NETPOL-SERVICE-RESTRICTED-4", ()))}
    sources = {each[:3] for each in sets.get("NETPOL-SERVICE-SOURCES-4", ()) if isinstance(each, AddressPortNetwork)}
    servers = {(key[0].packed, key[1], key[2]): each for key, each in node.servers.read().items() if len(key) == 3}
    there = servers.keys()
    served = {key for key, each in servers.items() if any(end.weight for end in each.destinations.values())}
    refused = {each[:3] for each in ports(sets.get("NETPOL-SERVICE-EMPTY-4", ()))}
    marking = "\n".join(
        rule for chain in node.seen.mangle.read(Family.IPV4).chains.values() for rule in map(str, chain)
    )
    marks = {int(each, 16) for each in re.findall(r"0x4e[0-9a-f]{6}", marking)}
    served_marks = {key.mark for key in node.servers.read() if isinstance(key, ServerMark)}
    on_link = {each.packed for each in node.link.read() or ()}
    return [
        *(f"unrecorded server {each}" for each in there - recorded),
        *(f"marked without a server: {each:#x}" for each in marks - served_marks),
        *(f"let in without a server: {each}" for each in let_in - there),
        *(f"neither served nor refused: {each}" for each in let_in - served - refused),
        *(
            f"no port of {each.hex()} is refused"
            for each in on_link - sets.get("NETPOL-SERVICE-ADDRESSES-4", frozenset())
        ),
        *(f"everybody may use {each}" for each in sources - restricted),
    ]


def ports(members: Iterable[object]) -> list[AddressPort]:
    return [each for each in members if isinstance(each, AddressPort)]
