"""IPVS of the kernel, over generic netlink: hundreds of messages go at once.

pyroute2 knows IPVS too, and sends one message at a time: the 11,000 of a thousand services with ten endpoints each
take it 40 seconds in a guest where they take 2 here.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from typing import Self

from netpol.dataplane.netlink import NETLINK_GENERIC, NetlinkError, NetlinkSocket
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import ConnectionTimeouts
from proxy.kernel import ipvs_messages as messages
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditServer,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerKey,
    ServerMark,
    ServerStep,
)
from proxy.names import MARK_BASE

_NO_SERVER, _NO_DESTINATION = errno.ESRCH, errno.ENOENT

_REASONS = {
    errno.EPERM: "it takes root (CAP_NET_ADMIN)",
    errno.ESRCH: "there is no such virtual server",
    errno.ENOENT: "there is no such destination",
    errno.EAFNOSUPPORT: "the kernel's IPVS has no IPv6",
    errno.EINVAL: "the kernel does not take these values: no packets can be sent there, or none balanced so",
    errno.ENOMEM: "the kernel has no memory for it",
    errno.ENOBUFS: "the kernel's answer was lost",
    errno.ETIMEDOUT: "the kernel did not answer",
}
_NO_IPVS = "the kernel has no IPVS (modprobe ip_vs)"

_STEPS_AT_ONCE = 256
"""As many messages of these as the socket sends at once."""

_SCHEDULER = re.compile(r"[a-z0-9_-]{1,15}")
_NO_SCHEDULERS = frozenset({"none", "ftp", "pe_sip"})
"""What the kernel takes for the wish to have none, and modules of IPVS that are none: asking would load them."""
_ASK_AGAIN_SECONDS = 60.0
"""How long a scheduler that was missing is not asked for: each time, the kernel starts modprobe."""


class NetlinkServers:
    """`protocols.VirtualServers`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self) -> None:
        self._offered: dict[str, float | None] = {}
        """When to ask again for each scheduler; None for one that is there."""
        try:
            self._netlink = NetlinkSocket(protocol=NETLINK_GENERIC)
        except OSError as refused:
            raise KernelRefusal(f"no netlink socket for IPVS: {refused.strerror}") from refused
        try:
            (answer,) = self._netlink.ask(messages.family_request())
        except NetlinkError as refused:
            self._netlink.close()
            reason = _NO_IPVS if refused.number == errno.ENOENT else _reason(refused)
            raise KernelRefusal(f"virtual servers cannot be read: {reason}") from refused
        self._id = messages.decode_family(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._netlink.close()

    def read(self) -> Mapping[ServerKey, HeldServer]:
        """Every virtual server with its destinations and what they carry."""
        with _refusing("virtual servers cannot be read"):
            servers = [self._with_destinations(each) for each in self._listed()]
        return {each.key: each for each in servers}

    def keys(self) -> frozenset[ServerKey]:
        """Every virtual server, without asking what it has."""
        with _refusing("virtual servers cannot be listed"):
            return frozenset(each.key for each in self._listed())

    def _listed(self) -> list[HeldServer]:
        """Every virtual server, as if it had no destinations."""
        answers = self._netlink.dump(messages.servers_request(self._id))
        return [each for each in map(messages.decode_server, answers) if each]

    def read_one(self, key: ServerKey) -> HeldServer | None:
        """One virtual server; None where there is none."""
        with _refusing(f"virtual server {key} cannot be read"):
            try:
                (answer,) = self._netlink.ask(messages.server_request(self._id, key))
            except NetlinkError as refused:
                if refused.number != _NO_SERVER:
                    raise
                return None
            found = messages.decode_server(answer)
            return None if found is None else self._with_destinations(found)

    def _with_destinations(self, server: HeldServer) -> HeldServer:
        # A socket has one dump at a time, so there is a request for each server.
        answers = self._netlink.dump(messages.destinations_request(self._id, server.key))
        return replace(server, destinations=dict(messages.decode_destination(each, server.key) for each in answers))

    def apply(self, steps: Iterable[ServerStep]) -> None:
        """Each step is carried out, in order; what is refused stops none of the others.

        What is gone already is no error to remove, what is there already none to add: it is then made to fit.
        """
        refused: list[tuple[ServerStep, NetlinkError]] = []
        pending = iter(steps)
        with _refusing("virtual servers cannot be written"):
            while batch := list(islice(pending, _STEPS_AT_ONCE)):
                refused += self._apply(batch)
        if refused:
            step, refusal = refused[0]
            others = len({each.key for each, _ in refused} - {step.key})
            more = f", and something of {others} more virtual servers" if others else ""
            raise KernelRefusal(f"{messages.describe(step)}: {_reason(refusal, step)}{more}") from refusal

    def _apply(self, batch: Sequence[ServerStep]) -> Iterator[tuple[ServerStep, NetlinkError]]:
        """The steps that were refused, and why."""
        corrections: list[ServerStep] = []
        for index, refusal in self._refusals(batch):
            step = batch[index]
            if refusal.number != errno.EEXIST or not isinstance(step, messages.Addition):
                yield step, refusal
            # What a later step of the batch did to the same thing holds.
            elif not any(_overtakes(later, step) for later in batch[index + 1 :]):
                corrections.append(messages.correction(step))
        for index, refusal in self._refusals(corrections):
            yield corrections[index], refusal

    def _refusals(self, steps: Sequence[ServerStep]) -> Iterator[tuple[int, NetlinkError]]:
        """Which of the steps were refused, and why."""
        requests = (messages.step_request(self._id, step) for step in steps)
        for index, refusal in enumerate(list(self._netlink.call_all(requests))):
            if refusal is not None and not _is_gone(steps[index], refusal):
                yield index, refusal

    def offers(self, scheduler: str) -> bool:
        """True where the kernel has this scheduler, or finds its module.

        It is tried with a server for a mark that no packet has. What is missing is tried again a minute later.
        """
        if _SCHEDULER.fullmatch(scheduler) is None or scheduler in _NO_SCHEDULERS:
            return False
        ask_at = self._offered.get(scheduler, 0.0)
        if ask_at is not None and time.monotonic() >= ask_at:
            ask_at = None if self._tries(scheduler) else time.monotonic() + _ASK_AGAIN_SECONDS
            self._offered[scheduler] = ask_at
        return ask_at is None

    def _tries(self, scheduler: str) -> bool:
        marks = (ServerMark(Family.IPV4, MARK_BASE + number) for number in count())
        key = next(mark for mark in marks if self.read_one(mark) is None)
        steps = (AddServer(key, Scheduling(scheduler)), RemoveServer(key))
        with _refusing(f"scheduler {scheduler} cannot be tried"):
            # Both are in one datagram: whatever becomes of this process, the server is gone.
            refusal, _ = self._netlink.call_all(messages.step_request(self._id, step) for step in steps)
            if refusal is not None and refusal.number != errno.ENOENT:
                raise refusal
        return refusal is None

    def set_timeouts(self, timeouts: ConnectionTimeouts) -> None:
        """Idle connections are kept so long; None leaves what there is."""
        if timeouts != ConnectionTimeouts():
            with _refusing("the times that idle connections are kept cannot be set"):
                self._netlink.call(messages.timeouts_request(self._id, timeouts))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """A NetlinkError inside becomes a KernelRefusal: `what`, and why."""
    try:
        yield
    except NetlinkError as refused:
        raise KernelRefusal(f"{what}: {_reason(refused)}") from refused


def _is_gone(step: ServerStep, refusal: NetlinkError) -> bool:
    """True where there is nothing left to remove."""
    gone = {RemoveServer: (_NO_SERVER,), RemoveDestination: (_NO_SERVER, _NO_DESTINATION)}
    return refusal.number in gone.get(type(step), ())


def _overtakes(later: ServerStep, step: AddServer | AddDestination) -> bool:
    """True where the later step settles what the other began."""
    if later.key != step.key:
        return False
    return isinstance(later, RemoveServer) or _destination(later) == _destination(step)


def _destination(step: ServerStep) -> Destination | None:
    """What the step is about, None being the server itself."""
    return None if isinstance(step, AddServer | EditServer | RemoveServer) else step.destination


def _reason(refusal: NetlinkError, step: ServerStep | None = None) -> str:
    if refusal.number == errno.ENOENT and isinstance(step, AddServer | EditServer):
        scheduler = step.scheduling.scheduler
        return f"the kernel has no scheduler {scheduler} (modprobe ip_vs_{scheduler})"
    return _REASONS.get(refusal.number, refusal.strerror or str(refusal))
