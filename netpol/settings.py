"""What a run of the agent is told, by flags and environment; validated once."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from netpol.model.networks import Family, Network
from netpol.model.policies import Semantics


class Variant(enum.Enum):
    """The two kernel backends that iptables' tools write to; the values are in the tools' names."""

    NFT = "nft"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """How manifests are read: which semantics beta policies have (M2), what a broken annotation means (B2)."""

    v1beta1_semantics: Semantics = Semantics.ANNOTATION
    strict_annotations: bool = False


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the compiler is told of a node.

    `pod_cidrs` are used for a family that the Node object states none of; `fail_open` turns G12 off.
    """

    name: str
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    pod_cidrs: tuple[Network, ...] = ()
    fail_open: bool = False
    log_group: int = 100
