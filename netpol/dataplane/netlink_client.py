"""What all that ask the kernel over netlink have: a socket, and words for what it refuses."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from netpol.dataplane.closing import Closing
from netpol.dataplane.netlink import NETLINK_NETFILTER, NetlinkError, NetlinkSocket
from netpol.errors import KernelRefusal

_REASONS = {
    errno.EPERM: "it takes root (CAP_NET_ADMIN)",
    errno.ENOMEM: "the kernel has no memory for it",
    errno.ENOBUFS: "the kernel's answer was lost",
    errno.EMSGSIZE: "the kernel's answer was cut short",
    errno.EINTR: "they kept changing while the kernel told them",
    errno.ETIMEDOUT: "the kernel did not answer",
}


class NetlinkClient(Closing):
    """A subject of the kernel's, in the network namespace of the thread that makes it; for one thread.

    `reasons` are what its refusals mean, by their numbers, where that is not the same for every subject.
    """

    def __init__(self, subject: str, reasons: Mapping[int, str], protocol: int = NETLINK_NETFILTER) -> None:
        self._reasons = {**_REASONS, **reasons}
        try:
            self._netlink = NetlinkSocket(protocol=protocol)
        except OSError as refused:
            raise KernelRefusal(f"no netlink socket for {subject}: {refused.strerror}") from refused

    def close(self) -> None:
        """Give the socket back."""
        self._netlink.close()

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """A NetlinkError inside becomes a KernelRefusal: `what`, and why."""
        try:
            yield
        except NetlinkError as refused:
            raise KernelRefusal(f"{what}: {self._reason(refused)}") from refused

    def _reason(self, refusal: NetlinkError) -> str:
        return self._reasons.get(refusal.number, refusal.strerror or str(refusal))
