"""What of the kernel's chains and sets is the service proxy's, for the writers of both."""

from __future__ import annotations

from netpol.dataplane.ownership import Ownership, Place
from proxy import names

SERVICE_PROXY = Ownership(names.is_ours, names.is_neighbours, Place.BEHIND)
"""Its own, and its neighbour is the firewall: what is let in to a service was judged before."""
