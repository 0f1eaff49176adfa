"""Links, addresses and routes of one namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self, cast

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netpol.dataplane.netlink import AF_NUMBERS
from netpol.lab.namespace import LabError, Namespace
from netpol.model.networks import Address, Family, Network, family_of

SCOPE_LINK = 253
SCOPE_ANY = 255
"""What a deletion names to find routes of every scope."""


class RouteSocket(Protocol):
    """What is used of pyroute2's IPRoute, whose own methods carry no types."""

    def link_lookup(self, *, ifname: str) -> Sequence[int]:
        """The indexes of the links called `ifname`: one or none."""

    def link(self, verb: str, **given: object) -> object:
        """A link is changed; NetlinkError where the kernel refuses."""

    def addr(self, verb: str, **given: object) -> object:
        """An address is changed; NetlinkError where the kernel refuses."""

    def route(self, verb: str, **given: object) -> object:
        """A route is changed; NetlinkError where the kernel refuses."""

    def close(self) -> None:
        """The socket is closed."""


class Links:
    """The writer of one namespace's network; every method raises LabError where the kernel refuses."""

    def __init__(self, namespace: Namespace) -> None:
        self._name = namespace.name
        with namespace.entered():
            self._netlink = cast(Callable[[], RouteSocket], IPRoute)()

    def index(self, name: str) -> int:
        """The index of the link called `name`."""
        found = self._netlink.link_lookup(ifname=name)
        if not found:
            raise LabError(f"{self._name} has no link {name}")
        return int(found[0])

    def bridge(self, name: str) -> int:
        """The index of a new bridge that is up."""
        self._call(self._netlink.link, "add", ifname=name, kind="bridge", state="up")
        return self.index(name)

    def veth(self, name: str, peer: Namespace, peer_name: str, bridge: int | None = None) -> int:
        """The index of a new link that is up, in `bridge` if one is given, and ends as `peer_name` in `peer`."""
        master = {} if bridge is None else {"master": bridge}
        far_end = {"ifname": peer_name, "net_ns_fd": peer.descriptor}
        self._call(self._netlink.link, "add", ifname=name, kind="veth", peer=far_end, state="up", **master)
        return self.index(name)

    def up(self, link: int) -> None:
        """The link is up."""
        self._call(self._netlink.link, "set", index=link, state="up")

    def remove(self, name: str) -> None:
        """The link and its other end are gone."""
        self._call(self._netlink.link, "del", index=self.index(name))

    def address(self, link: int, address: Address, length: int | None = None) -> None:
        """The link has the address; without `length` it stands for itself alone.

        The bit IFA_F_NODAD makes an IPv6 address usable at once, whatever the link's settings.
        """
        family = family_of(address)
        nodad = {"flags": 2} if family is Family.IPV6 else {}
        self._call(
            self._netlink.addr,
            "add",
            index=link,
            address=str(address),
            prefixlen=family.bits if length is None else length,
            family=AF_NUMBERS[family],
            **nodad,
        )

    def route(
        self,
        destination: Address | Network,
        link: int,
        via: Address | None = None,
        source: Address | None = None,
    ) -> None:
        """Packets to `destination` leave by `link`, through `via` or straight, by default from `source`."""
        family = family_of(destination)
        given: dict[str, str | int] = {"dst": str(destination), "oif": link, "family": AF_NUMBERS[family]}
        if via is not None:
            given["gateway"] = str(via)
        elif family is Family.IPV4:
            given["scope"] = SCOPE_LINK
        if source is not None:
            given["prefsrc"] = str(source)
        self._call(self._netlink.route, "replace", **given)

    def unroute(self, destination: Address) -> None:
        """No route of its own leads to `destination`."""
        self._call(
            self._netlink.route, "del", dst=str(destination), family=AF_NUMBERS[family_of(destination)], scope=SCOPE_ANY
        )

    def close(self) -> None:
        """Let go of the namespace."""
        self._netlink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., object], verb: str, **given: object) -> None:
        try:
            method(verb, **given)
        except NetlinkError as refusal:
            raise LabError(f"{self._name}: {verb} {given}: {refusal}") from refusal
