"""Our ipsets in the kernel, over netlink: a message adds thousands of members, and many messages go at once."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from netpol.compiler.ruleset import IpSet, Member, SetType
from netpol.dataplane import ipset_messages as messages
from netpol.dataplane.kernel import SetSummary
from netpol.dataplane.members import describe
from netpol.dataplane.netlink import NetlinkError
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.errors import KernelRefusal

_NAME_CHARACTERS = 31

# ipset's own error numbers, after the system's.
_NO_TYPE, _TOO_MANY_SETS, _IN_USE, _BAD_PREFIX, _NO_COMMENTS = 4098, 4099, 4100, 4104, 4112
_TYPE_SPECIFIC = 4352

_REASONS = {
    errno.ENOENT: "there is no such set",
    errno.EEXIST: "a set of this name exists already",
    errno.EINVAL: "the kernel has no ip_set (modprobe ip_set), or none that understands this",
    _TOO_MANY_SETS: "the kernel holds as many sets as it can",
    _IN_USE: "a rule or another set refers to it",
    _NO_COMMENTS: "the set was made without comments",
    _BAD_PREFIX: "its prefix length is not one the set can hold",
}

_RELEASE_SECONDS = 3.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.1


class _Decoded(NamedTuple):
    """The kernel's answers about a set, and what they say."""

    answers: tuple[bytes, ...]
    found: IpSet | None


class NetlinkSets(NetlinkClient):
    """`kernel.Sets`, in the network namespace of the thread that makes it; for one thread.

    `max_members` is the room a hash is created with.
    """

    def __init__(self, max_members: int = messages.MAX_MEMBERS, ownership: Ownership = FIREWALL) -> None:
        super().__init__("ipset", _REASONS)
        self._max_members = max_members
        self._is_ours = ownership.is_ours
        self._decoded: dict[str, _Decoded] = {}

    def read(self) -> Mapping[str, IpSet]:
        """Our sets as the kernel holds them; those of others are passed over as they come.

        A set that is named like ours but of a type we never make is left out: creating
        one of that name will be refused. What the kernel tells in the same bytes as the
        last time is not decoded again.
        """
        with self._refusing("the ipsets cannot be read"):
            answers = self._netlink.dump(messages.all_request(), self._is_about_ours)
        told = {name: tuple(each) for name, each in groupby(answers, messages.decode_name)}
        decoded = {
            name: known
            if (known := self._decoded.get(name)) is not None and known.answers == each
            else _Decoded(each, messages.decode_set(each))
            for name, each in told.items()
        }
        self._decoded = decoded
        return {name: each.found for name, each in decoded.items() if each.found is not None}

    def read_members(self, target: IpSet) -> frozenset[Member]:
        """What one set holds; a set that is not there is refused."""
        with self._refusing(f"ipset {target.name} cannot be read"):
            found = messages.decode_set(self._netlink.dump(messages.list_request(target.name)))
        if found is None:
            raise KernelRefusal(f"ipset {target.name} cannot be read: it is of a type that is never made here")
        return found.members

    def survey(self) -> Mapping[str, SetSummary]:
        """What our sets are and how many members each has; no member is told."""
        with self._refusing("the ipsets cannot be surveyed"):
            answers = self._netlink.dump(messages.headers_request(), self._is_about_ours)
        return {messages.decode_name(answer): messages.decode_summary(answer) for answer in answers}

    def _is_about_ours(self, answer: bytes) -> bool:
        return self._is_ours(messages.decode_name(answer))

    def create(self, sets: Iterable[IpSet]) -> None:
        """Create each set, empty: a set that exists is refused."""
        wanted = list(sets)
        for each in wanted:
            if len(each.name) > _NAME_CHARACTERS:
                raise KernelRefusal(
                    f"ipset {each.name} cannot be created: its name has over {_NAME_CHARACTERS} characters"
                )
        requests = (messages.create_request(each, self._max_members) for each in wanted)
        with self._refusing("ipsets cannot be created"):
            refusals = list(self._netlink.call_all(requests))
        for each, refusal in zip(wanted, refusals, strict=True):
            if refusal is not None:
                reason = self._reason(refusal, each.type)
                raise KernelRefusal(f"ipset {each.name} cannot be created: {reason}") from refusal

    def add(self, target: IpSet, members: Iterable[Member]) -> None:
        """Add members to an existing set; one that is there already gets the new comment or flag.

        Not atomic: members before a refused one stay added.
        """
        self._change(messages.ADD, target, list(members))

    def remove(self, target: IpSet, members: Iterable[Member]) -> None:
        """Remove members; absent ones are no error. Not atomic."""
        self._change(messages.REMOVE, target, list(members))

    def _change(self, command: int, target: IpSet, members: Sequence[Member]) -> None:
        doing = "add" if command == messages.ADD else "remove"
        try:
            for request in messages.member_requests(command, target, members):
                self._netlink.call(request)
        except ValueError as misfit:
            raise KernelRefusal(f"ipset {target.name}: cannot {doing} a member: {misfit}") from misfit
        except NetlinkError as refused:
            # Without a member's number the request as a whole was refused.
            number = int.from_bytes(refused.echoed.get(messages.LINE_NUMBER, b""), "little")
            if command == messages.REMOVE and number and _lacks_set(refused, target.type):
                # A set that does not exist is no member of any: the kernel stopped at it, the rest remains.
                self._change(command, target, members[number:])
                return
            named = describe(members[number - 1]) if 0 < number <= len(members) else "members"
            raise KernelRefusal(
                f"ipset {target.name}: cannot {doing} {named}: {self._reason(refused, target.type)}"
            ) from refused

    def destroy(self, names: Iterable[str]) -> None:
        """Destroy sets that no rule and no other set refers to; one that is gone already is no error.

        A list:set among them frees its members. A rule that the nft variant deleted
        holds its sets a moment longer, because the kernel frees it from a work queue:
        a set in use is tried again for three seconds, then refused.
        """
        remaining = list(dict.fromkeys(names))
        deadline = time.monotonic() + _RELEASE_SECONDS
        pause_seconds = _FIRST_PAUSE_SECONDS
        while remaining:
            with self._refusing("ipsets cannot be destroyed"):
                refusals = list(self._netlink.call_all(map(messages.destroy_request, remaining)))
            refused = [
                (name, refusal)
                for name, refusal in zip(remaining, refusals, strict=True)
                if refusal is not None and refusal.number != errno.ENOENT
            ]
            for name, refusal in refused:
                if refusal.number != _IN_USE or time.monotonic() > deadline:
                    others = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
                    reason = self._reason(refusal)
                    raise KernelRefusal(f"ipset {name} cannot be destroyed: {reason}{others}") from refusal
            if len(refused) == len(remaining):
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            remaining = [name for name, _ in refused]

    def destroy_unused(self, name: str) -> bool:
        """True once there is no such set; False where a rule or another set refers to it at this moment."""
        try:
            self._netlink.call(messages.destroy_request(name))
        except NetlinkError as refused:
            if refused.number == _IN_USE:
                return False
            if refused.number != errno.ENOENT:
                raise KernelRefusal(f"ipset {name} cannot be destroyed: {self._reason(refused)}") from refused
        return True

    def _reason(self, refusal: NetlinkError, kind: SetType | None = None) -> str:
        """The refusal in words; numbers from 4352 on mean another thing for each type of set."""
        if refusal.number == _TYPE_SPECIFIC and kind is not None:
            return "there is no such set to refer to" if _lacks_set(refusal, kind) else "the set is full"
        if refusal.number == _NO_TYPE:
            module = f"ip_set_{kind.value.replace(':', '_').replace(',', '')}" if kind is not None else "ip_set"
            return f"the kernel lacks this type of set (modprobe {module})"
        return super()._reason(refusal)


def _lacks_set(refused: NetlinkError, kind: SetType) -> bool:
    return refused.number == _TYPE_SPECIFIC and kind is SetType.SETS
