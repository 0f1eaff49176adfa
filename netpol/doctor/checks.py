"""One thing a host has or lacks, and what it means for what netpol does."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from netpol.model.networks import Family
from netpol.settings import Variant


class State(enum.Enum):
    """What became of a check. A warning is about something that works, and not the way one would expect."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    MISSING = "missing"

    @property
    def stops(self) -> bool:
        """True where the function does not work, or nobody can say that it does."""
        return self in (State.UNKNOWN, State.MISSING)


class Function(enum.Enum):
    """What a host can be used for."""

    FIREWALL_IPV4 = "firewall, IPv4"
    FIREWALL_IPV6 = "firewall, IPv6"
    NFT = "iptables, nft variant"
    LEGACY = "iptables, legacy variant"
    AUDIT_LOG = "audit log"
    DEMO = "demo"
    SERVICE_PROXY = "service proxy"


FIREWALL = {Family.IPV4: Function.FIREWALL_IPV4, Family.IPV6: Function.FIREWALL_IPV6}
BOTH_FIREWALLS = tuple(FIREWALL.values())
THROUGH = {Variant.NFT: Function.NFT, Variant.LEGACY: Function.LEGACY}


@dataclass(frozen=True, slots=True)
class Check:
    """Something looked for, for the functions that need it; `mend` is what a person does about what is not fine.

    What is only not known has none: what kept it from being tried is a check of its own.
    """

    name: str
    functions: tuple[Function, ...]
    state: State
    found: str
    mend: str = ""


def state_of(function: Function, checks: Iterable[Check]) -> State:
    """The worst state of what the function needs."""
    needed = {check.state for check in checks if function in check.functions}
    return next(state for state in reversed(State) if state in needed or state is State.OK)


def firewall_can_run(checks: Iterable[Check]) -> bool:
    """True where nothing is missing for either family."""
    return not stopping(checks)


def stopping(checks: Iterable[Check], functions: Collection[Function] = BOTH_FIREWALLS) -> tuple[Check, ...]:
    """The checks for which the functions, or one of them, do not work."""
    return tuple(check for check in needed(checks, functions) if check.state.stops)


def needed(checks: Iterable[Check], functions: Collection[Function]) -> tuple[Check, ...]:
    """The checks of what any of the functions needs."""
    return tuple(check for check in checks if not frozenset(functions).isdisjoint(check.functions))
