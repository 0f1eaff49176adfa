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


class OtherProxy(enum.Enum):
    """What tells of another service proxy, be it one that has left something; the values are what is seen of it."""

    KUBE_PROXY = "kube-proxy runs"
    KUBE_PROXY_LINK = "kube-proxy's link kube-ipvs0 is here"
    KUBE_PROXY_CHAINS = "kube-proxy's chain KUBE-SERVICES is here"
    KUBE_ROUTER = "kube-router runs"
    KUBE_ROUTER_CHAINS = "kube-router's chains are here"


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried in a network namespace made for it.

    `tables` says of each variant and family whether a rule without any match loads; `rules` only has those
    whose table does. `flow_reads` is the connection table read by netlink, `log` the kernel's side of NFLOG.
    `proxy_rules` and `proxy_sets` are what only the service proxy needs; schedulers are tried where there is IPVS.
    """

    tables: Mapping[tuple[Variant, Family], Trial]
    rules: Mapping[tuple[Variant, Family], tuple[Trial, ...]]
    sets: Mapping[Family, tuple[Trial, ...]]
    flow_reads: Mapping[Family, Trial]
    log: Trial
    links: tuple[Trial, ...]
    ipvs: Trial
    schedulers: tuple[Trial, ...]
    dummy: Trial
    proxy_rules: Mapping[tuple[Variant, Family], tuple[Trial, ...]]
    proxy_sets: Mapping[Family, tuple[Trial, ...]]


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
    other_proxies: frozenset[OtherProxy]
    trials: Trials | None
    untried: str = field(default="")
