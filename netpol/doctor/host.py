"""What was found on a host, before anybody judges it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netpol.model.networks import Family
from netpol.settings import Variant


@dataclass(frozen=True, slots=True)
class Trial:
    """Something tried for real; `refusal` is what the kernel or a tool said, None where it worked."""

    name: str
    module: str
    refusal: str | None = None


class Capability(enum.Enum):
    """The capabilities in use; the values are their bits."""

    NET_ADMIN = 12
    NET_RAW = 13
    SYS_ADMIN = 21

    def __str__(self) -> str:
        return f"CAP_{self.name}"


def without(missing: Iterable[Capability]) -> str:
    """That these are missing, in words.

    >>> without([Capability.SYS_ADMIN, Capability.NET_RAW])
    'no CAP_NET_RAW, no CAP_SYS_ADMIN'
    """
    return ", ".join(f"no {each}" for each in sorted(missing, key=lambda each: each.value))


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried in a network namespace made for it.

    `tables` says of each variant and family whether a rule without any match loads; `rules` only has those
    whose table does. `flow_reads` is the connection table read by netlink, `log` the kernel's side of NFLOG.
    """

    tables: Mapping[tuple[Variant, Family], Trial]
    rules: Mapping[tuple[Variant, Family], tuple[Trial, ...]]
    sets: Mapping[Family, tuple[Trial, ...]]
    flow_reads: Mapping[Family, Trial]
    log: Trial
    links: tuple[Trial, ...]
    ipvs: Trial
    dummy: Trial


@dataclass(frozen=True, slots=True)
class Host:
    """A host as it was found.

    `tools` are those of the tools looked for that are installed; `sysctls` are named as below
    /proc/sys, with None for one that the kernel lacks; `bridges` are those with ports.
    `trials` is None, and `untried` says why, where no namespace could be made.
    """

    capabilities: frozenset[Capability]
    tools: frozenset[str]
    variant: Variant | None
    variant_trouble: str
    families: tuple[Family, ...]
    sysctls: Mapping[str, str | None]
    bridges: tuple[str, ...]
    other_firewalls: tuple[str, ...]
    schedulers: frozenset[str]
    trials: Trials | None
    untried: str = field(default="")
