"""Taking away all that is ours, of the firewall and of the service proxy, and nothing else."""

from __future__ import annotations

from netpol.dataplane.clearing import Cleared, clear
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.variant import variants_present
from netpol.model.networks import Family


def clear_all() -> Cleared:
    """What was removed of this network namespace, of both families and both variants, and what was left and why."""
    with NetlinkSets() as sets:
        return clear([IptablesTables(variant) for variant in variants_present()], sets, tuple(Family))
