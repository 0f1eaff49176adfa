"""Why a service does not get what it asks for, in the words that a person reads in Events.

Of an address it is said what it is to somebody else; what is special about one says `special_addresses`.
"""

from __future__ import annotations

from collections.abc import Collection

from netpol.listing import listed
from netpol.model.networks import Address, Network
from netpol.model.ports import PortRange
from netpol.model.services import ServicePort
from netpol.model.snapshot import ObjectName
from proxy.claims.stakes import NodePortStake
from proxy.model import Origin

_MOST_RANGES = 3
"""In a sentence."""

_PLURALS = {Origin.EXTERNAL: "external addresses", Origin.LOAD_BALANCER: "load balancers' addresses"}
_FIRST = "which comes first"


def unserved(reason: str) -> str:
    """What a notice says where this is the reason."""
    return f"{reason}; it is not served"


# --- reasons


def address_taken(address: Address, what: str) -> str:
    """The address is this already, by the words below."""
    return f"{address} is {what}"


def port_taken(port: ServicePort, address: Address, holder: ObjectName) -> str:
    """An older service has the port of an address that several may have."""
    return f"port {port} of {address} is {_shown(holder)}'s, {_FIRST}"


def node_port_taken(stake: NodePortStake, holder: ObjectName) -> str:
    """An older service has the node port."""
    return f"{stake} is the node port of {_shown(holder)}, {_FIRST}"


def node_port_outside(stake: NodePortStake, allowed: PortRange) -> str:
    """Node ports are in a range, and this one is not."""
    return f"{stake} is outside {allowed}, where node ports are"


# --- what an address is


def cluster_address(holder: ObjectName) -> str:
    """The API server gave it to another service."""
    return f"the cluster address of {_shown(holder)}"


def older_cluster_address(holder: ObjectName) -> str:
    """It was given to two services, which no API server does, and the other is older."""
    return f"{cluster_address(holder)}, {_FIRST}"


def load_balancer_address(holder: ObjectName) -> str:
    """A load balancer sends what comes to it to another service."""
    return f"the load balancer's address of {_shown(holder)}"


def older_external_address(holder: ObjectName) -> str:
    """An older service of another namespace asks for it."""
    return f"an external address of {_shown(holder)}, {_FIRST}"


def in_cluster_range(network: Network) -> str:
    """The API server may give it to a service."""
    return f"in {network}, where cluster addresses are"


def outside_ranges(wanted: Collection[Network], origin: Origin) -> str:
    """Addresses of this origin are in these ranges, and it is in none of them."""
    return f"outside {listed(wanted, _MOST_RANGES)}, where {_PLURALS[origin]} are"


def node_address(node: str) -> str:
    """The Node object states it."""
    return f"an address of node {node}"


OWN_ADDRESS = "an address of this node"
"""It is in the network namespace here, whatever the Node object states."""


def in_pod_range(network: Network, node: str) -> str:
    """Pods get theirs from there: those of the node, or of any where that is ""."""
    return f"in {network}, which is for {f'the pods of node {node}' if node else 'pods'}"


def _shown(name: ObjectName) -> str:
    return f"service {'/'.join(name)}"
