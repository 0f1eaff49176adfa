"""Links and their addresses, over rtnetlink: hundreds of addresses go at once.

pyroute2 knows links too, and takes a quarter of a second and ten megabytes to import, which an agent that starts
again has not. A thousand addresses take it 1.7 seconds in a guest, 1.5 in one batch of its own, and 0.3 here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from netpol.dataplane import address_messages
from netpol.dataplane.addresses import read_addresses
from netpol.dataplane.closing import Closing
from netpol.dataplane.netlink import NETLINK_ROUTE, NetlinkError, Request
from netpol.dataplane.netlink_client import NetlinkClient
from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel import link_messages as messages
from proxy.kernel import route_messages
from proxy.kernel.link_messages import BridgePort, Link, LinkFlag
from proxy.names import LINK

_REASONS = {
    errno.ENODEV: "there is no such link",
    errno.EOPNOTSUPP: "the kernel has no such kind (modprobe dummy, ipip or ip6_tunnel), or no IPv6",
    errno.EAFNOSUPPORT: "the kernel has no IPv6",
    errno.EACCES: "IPv6 is disabled there (sysctl disable_ipv6)",
}
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.ENODEV})
"""What the kernel says of an address that no route leads to, or one that says no, and of a link that has gone."""
_NO_PORT = frozenset({errno.ENODEV, errno.EOPNOTSUPP})
"""What the kernel says of a port that has gone, or was unplugged, since it was read."""


class NetlinkLinks(NetlinkClient):
    """The links of the network namespace of the thread that makes it; for one thread.

    Every method raises KernelRefusal.
    """

    def __init__(self) -> None:
        super().__init__("links", _REASONS, NETLINK_ROUTE)

    def find(self, name: str) -> Link | None:
        """The link of this name; None where there is none."""
        with self._refusing(f"link {name} cannot be read"):
            try:
                (answer,) = self._netlink.ask(messages.link_request(name))
            except NetlinkError as refused:
                if refused.number != errno.ENODEV:
                    raise
                return None
            return messages.decode_link(answer)

    def towards(self, address: Address) -> Link | None:
        """The link by which a packet would go to this address; None where it would go nowhere."""
        with self._refusing(f"the way to {address} cannot be read"):
            try:
                (way,) = self._netlink.ask(route_messages.way_request(address))
                number = route_messages.decode_way(way)
                return None if number is None else self._numbered(number)
            except NetlinkError as refused:
                if refused.number not in _NO_WAY:
                    raise
                return None

    def _numbered(self, number: int) -> Link:
        (answer,) = self._netlink.ask(messages.numbered_link_request(number))
        return messages.decode_link(answer)

    def ensure_dummy(self, name: str) -> bool:
        """The link of this name is there and up, and answers no ARP; where there was none, it leads nowhere.

        Returns whether anything of that was not so.
        """
        flags = LinkFlag.UP | LinkFlag.NO_ARP
        found = self.find(name)
        self._ensure(name, messages.add_dummy_request(name), flags)
        return found is None or flags not in found.flags

    def ensure_tunnel(self, name: str, local: Address) -> Link:
        """The link of this name is there and up; where there was none, it is the end of tunnels to this address."""
        return self._ensure(name, messages.add_tunnel_request(name, local), LinkFlag.UP)

    def _ensure(self, name: str, addition: Request, flags: LinkFlag) -> Link:
        link = self.find(name)
        if link is None:
            self._call(addition, f"link {name} cannot be added", errno.EEXIST)
            link = self.find(name)
        if link is None:
            raise KernelRefusal(f"link {name} cannot be added: somebody removes it at once")
        # Also after the addition: somebody else may have made it meanwhile, as they like it.
        if flags not in link.flags:
            self._call(messages.set_flags_request(link.number, flags), f"link {name} cannot be set up")
        return link

    def set_alias(self, link: Link, alias: str) -> None:
        """The link has this alias, "" being none."""
        self._call(messages.set_alias_request(link.number, alias), f"link {link.name} cannot be given an alias")

    def remove(self, name: str) -> None:
        """There is no such link, and none of its addresses."""
        if (link := self.find(name)) is not None:
            self._call(messages.remove_link_request(link.number), f"link {name} cannot be removed", errno.ENODEV)

    def addresses(self, *, of: Link | None = None, other_than: Iterable[int] = ()) -> frozenset[Address]:
        """The addresses of one link, or of all but those with these numbers; none that is link-local."""
        passed_over = frozenset(other_than)

        def is_wanted(answer: bytes) -> bool:
            number = address_messages.link_of_address(answer)
            return number == of.number if of is not None else number not in passed_over

        with self._refusing("the addresses of links cannot be read"):
            found = read_addresses(self._netlink, is_wanted)
        return frozenset(address for address in found if not address.is_link_local)

    def bind(self, link: Link, addresses: Iterable[Address]) -> None:
        """The link has these addresses too; what is refused stops none of the others."""
        wanted = list(addresses)
        requests = (address_messages.add_address_request(link.number, each) for each in wanted)
        self._change(wanted, requests, f"be bound to {link.name}", (errno.EEXIST,))

    def unbind(self, link: Link, addresses: Iterable[Address]) -> None:
        """The link has these addresses no more; what is refused stops none of the others."""
        wanted = list(addresses)
        requests = (address_messages.remove_address_request(link.number, each) for each in wanted)
        self._change(wanted, requests, f"be taken from {link.name}", (errno.EADDRNOTAVAIL, errno.ENODEV))

    def bridge_ports(self) -> Sequence[BridgePort]:
        """Every link that is plugged into a bridge."""
        with self._refusing("the ports of bridges cannot be read"):
            ports = map(messages.decode_port, self._netlink.dump(messages.links_request()))
        return [port for port in ports if port is not None]

    def return_packets(self, ports: Iterable[BridgePort]) -> None:
        """These ports send packets back where they came from; one that is a port no more is no error."""
        requests = (messages.return_packets_request(port.number) for port in ports)
        with self._refusing("bridge ports cannot be made to return packets"):
            for refusal in list(self._netlink.call_all(requests)):
                if refusal is not None and refusal.number not in _NO_PORT:
                    raise refusal

    def _change(
        self, addresses: Sequence[Address], requests: Iterable[Request], doing: str, harmless: Sequence[int]
    ) -> None:
        with self._refusing(f"addresses cannot {doing}"):
            refusals = list(self._netlink.call_all(requests))
        refused = [
            (address, refusal)
            for address, refusal in zip(addresses, refusals, strict=True)
            if refusal is not None and refusal.number not in harmless
        ]
        if refused:
            address, refusal = refused[0]
            more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
            raise KernelRefusal(f"address {address} cannot {doing}: {self._reason(refusal)}{more}") from refusal

    def _call(self, request: Request, what: str, *harmless: int) -> None:
        with self._refusing(what):
            try:
                self._netlink.call(request)
            except NetlinkError as refused:
                if refused.number not in harmless:
                    raise


class DummyLink(Closing):
    """`protocols.ServiceLink`, in the network namespace of the thread that makes it; for one thread."""

    def __init__(self, name: str = LINK) -> None:
        self._name = name
        self._links = NetlinkLinks()

    def close(self) -> None:
        """Give the socket back."""
        self._links.close()

    def read(self) -> frozenset[Address] | None:
        """The addresses on it; None where there is no link."""
        link = self._links.find(self._name)
        return None if link is None else self._links.addresses(of=link)

    def ensure(self) -> bool:
        """The link is there and up, and answers no ARP; returns whether anything of that was not so."""
        return self._links.ensure_dummy(self._name)

    def bind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses too; one that is there already is no error."""
        wanted = list(addresses)
        link = self._links.find(self._name)
        if link is not None:
            self._links.bind(link, wanted)
        elif wanted:
            raise KernelRefusal(f"address {wanted[0]} cannot be bound to {self._name}: there is no such link")

    def unbind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses no more; one that is gone already is no error."""
        if (link := self._links.find(self._name)) is not None:
            self._links.unbind(link, addresses)

    def remove(self) -> None:
        """There is no such link, and none of its addresses."""
        self._links.remove(self._name)
