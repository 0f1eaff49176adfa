"""The sets and chains beside IPVS: who may come in, and which packets go on under the node's address.

A packet to a service's address is for the node itself, so it meets INPUT first; IPVS then sends it
on by OUTPUT and POSTROUTING. What IPVS does not serve there would reach whoever listens on the host.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from ipaddress import ip_network

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import (
    Action,
    AddressPort,
    AddressPortAddress,
    AddressPortNetwork,
    Balanced,
    ConnectionState,
    EchoRequest,
    Goto,
    Hook,
    InNetwork,
    InSet,
    InState,
    IpSet,
    Jump,
    NotInit,
    NotSyn,
    OfProtocol,
    Reject,
    Rule,
    SetMark,
    SetType,
    Side,
    Table,
    ToPorts,
)
from netpol.model.networks import Family, Network, family_of
from netpol.model.ports import PortRange, Protocol
from netpol.settings import ProxySettings
from proxy import names
from proxy.model import Destination, ServerAddress, ServerMark, VirtualServer
from proxy.ownership import Marking, record_of

_SERVER = (Side.DESTINATION, Side.DESTINATION)
_SERVER_AND_CLIENT = (Side.DESTINATION, Side.DESTINATION, Side.SOURCE)
_LIVING = frozenset({ConnectionState.ESTABLISHED, ConnectionState.RELATED})

# --- members


def owned(server: VirtualServer, key: ServerAddress) -> AddressPort:
    """The record that this virtual server is ours, and for whom.

    >>> from netpol.model.networks import parse_address
    >>> from proxy.model import Origin
    >>> key = ServerAddress(parse_address("10.96.0.1"), Protocol.TCP, 443)
    >>> owned(VirtualServer(key, Origin.CLUSTER, title="default/kubernetes:https"), key).comment
    'default/kubernetes:https cluster'
    """
    return port_of(key)._replace(comment=str(record_of(server)))


def port_of(key: ServerAddress) -> AddressPort:
    """What clients ask for, as a member."""
    return AddressPort(key.address.packed, key.protocol, key.port)


def endpoint_of(destination: Destination, protocol: Protocol) -> AddressPort:
    """What a packet goes to once IPVS has sent it on, as a member."""
    return AddressPort(destination.address.packed, protocol, destination.port)


def to_itself(destination: Destination, protocol: Protocol) -> AddressPortAddress:
    """A packet of an endpoint that IPVS has sent back to it, as a member."""
    packed = destination.address.packed
    return AddressPortAddress(packed, protocol, destination.port, packed)


def admitted(key: ServerAddress, clients: Network) -> Iterator[AddressPortNetwork]:
    """That these clients may use the server, as members; none where they are of the other family.

    The kernel refuses a prefix without length, so that everybody is two halves.
    """
    if family_of(clients) is key.family:
        for part in clients.subnets() if clients.prefixlen == 0 else (clients,):
            address = part.network_address.packed
            yield AddressPortNetwork(key.address.packed, key.protocol, key.port, address, part.prefixlen)


# --- sets


def empty_sets(family: Family) -> dict[str, IpSet]:
    """The sets of a family by name, all that there ever are, without members."""
    ports, kind = SetType.ADDRESS_PORTS, SetType.ADDRESS_PORT_ADDRESSES
    sets = (
        IpSet(names.owned_set(family), ports, family, meaning="virtual servers of ours", has_comments=True),
        IpSet(names.served_set(family), ports, family, meaning="what the proxy serves"),
        IpSet(names.empty_set(family), ports, family, meaning="servers without endpoints"),
        IpSet(names.switching_set(family), ports, family, meaning="servers whose scheduler is being switched"),
        IpSet(services_set(family), ports, family, meaning="what the proxy serves, and always sends on"),
        IpSet(names.addresses_set(family), SetType.ADDRESSES, family, meaning="addresses of services on the link"),
        IpSet(names.restricted_set(family), ports, family, meaning="servers that only some may use"),
        IpSet(names.sources_set(family), SetType.ADDRESS_PORT_NETWORKS, family, meaning="who may use them"),
        IpSet(names.hairpin_set(family), kind, family, meaning="endpoints that may reach themselves"),
        IpSet(names.local_set(family), ports, family, meaning="endpoints here that may see the client's address"),
    )
    return {each.name: each for each in sets}


# --- tables


def filter_table(family: Family, settings: ProxySettings) -> Table:
    """What is let in to services, and what is refused at their addresses.

    Where the client may not use the server, nothing may save the packet; where it may, it is judged on its way to
    the endpoint. No listener of the host is reached by a service's address: what is not served there is refused,
    and said to be. What answers the node's own connections comes to such an address too, for the kernel takes it as
    their source. A server without endpoints would refuse by itself, but by ICMP alone, of which the kernel sends one
    client only so many a second: so it is done before, to what opens a connection. Those that an endpoint still has
    while it drains go on; conntrack cannot tell them, for where endpoints answer directly it sees one way only.
    While a scheduler is switched, a kernel with several processors has none for some milliseconds and would refuse
    who connects; who gets no answer asks again.
    """
    let_in = Action.ACCEPT if settings.permit_all else Action.RETURN
    switching = InSet(names.switching_set(family), _SERVER)
    restricted = InSet(names.restricted_set(family), _SERVER)
    stranger = InSet(names.sources_set(family), _SERVER_AND_CLIENT, negated=True)
    ping = OfProtocol(Protocol.ICMP), EchoRequest()
    own, input_chain = names.addresses_set(family), names.hook_chain(Hook.INPUT)
    tcp = OfProtocol(Protocol.TCP)
    opens_nothing = (
        Rule((tcp, NotSyn()), Action.RETURN, "opens nothing"),
        Rule((OfProtocol(Protocol.SCTP), NotInit()), Action.RETURN, "opens nothing"),
    )
    return Table(
        {Hook.INPUT: Rule((), Jump(input_chain), "netpol: services of this node")},
        {
            input_chain: (
                Rule((restricted, stranger), Action.DROP, "no source range of the service has the client"),
                Rule((InSet(names.empty_set(family), _SERVER),), Jump(names.EMPTY), "to a service without endpoints"),
                Rule((switching,), Jump(names.SWITCHING), "to a service that is switched"),
                Rule((InSet(names.served_set(family), _SERVER),), let_in, "judged on its way to the endpoint"),
                Rule((InSet(own, (Side.DESTINATION,)),), Goto(names.ADDRESSES), "to a service's address"),
            ),
            names.ADDRESSES: (
                Rule((InState(_LIVING),), Action.RETURN, "answers the node itself"),
                Rule(ping, let_in, "a ping"),
                Rule((OfProtocol(Protocol.ICMP),), Action.RETURN),
                Rule((tcp,), Reject.RESET, "no service has this port"),
                Rule((), Reject.UNREACHABLE, "no service has this port"),
            ),
            names.EMPTY: (
                *opens_nothing,
                Rule((tcp,), Reject.RESET, "the service has no endpoints"),
                Rule((), Reject.UNREACHABLE, "the service has no endpoints"),
            ),
            names.SWITCHING: (*opens_nothing, Rule((), Action.DROP, "asks again, when there is a scheduler")),
        },
    )


def nat_table(
    family: Family, settings: ProxySettings, pod_ranges: Iterable[Network], keeping: Iterable[ServerAddress]
) -> Table:
    """Which packets that IPVS sends on leave under the node's address, so that their answers come back here.

    An endpoint would answer itself past IPVS. Of `keeping` the endpoints are on this node, and answer through it
    whoever asked. Pods are answered through this node wherever they are, where the ranges of all of them are
    known; of no known range, everybody is masqueraded.
    """
    everything = Rule((), Action.MASQUERADE, "answered through this node")
    pods = [] if settings.masquerade_all else _of_family(family, settings.cluster_cidrs, pod_ranges)
    chain = names.hook_chain(Hook.POSTROUTING)
    to_itself = InSet(names.hairpin_set(family), _SERVER_AND_CLIENT)
    return Table(
        {Hook.POSTROUTING: Rule((Balanced(),), Jump(chain), "netpol: sent on to an endpoint")},
        {
            chain: (
                Rule((to_itself,), Action.MASQUERADE, "to itself"),
                Rule((InSet(names.local_set(family), _SERVER),), Jump(names.KEEP), "to an endpoint of this node"),
                *(Rule((InNetwork(Side.SOURCE, each),), Action.RETURN, "from a pod") for each in pods),
                everything,
            ),
            names.KEEP: tuple(
                Rule((Balanced(*each),), Action.ACCEPT, "the client's address is kept")
                for each in sorted(keeping, key=_order)
                if each.family is family
            ),
        },
    )


def mangle_table(family: Family, marks: Mapping[ServerMark, Marking]) -> Table:
    """Which packets get the marks that IPVS serves by direct return, and for whom; hooked where there are any."""
    chain = names.hook_chain(Hook.PREROUTING)
    own = sorted((each for each in marks.items() if each[0].family is family), key=lambda each: _order(each[1].address))
    hook = Rule((), Jump(chain), "netpol: services that answer directly")
    rules = tuple(Rule(_asked_for(each.address), SetMark(mark.mark), str(each.record)) for mark, each in own)
    return Table({Hook.PREROUTING: hook} if own else {}, {chain: rules})


def marking_for(table: Table, family: Family, served: Container[ServerMark]) -> Table:
    """The mangle table of a family without the rules for marks that no virtual server is there for.

    A packet with such a mark would come to the node itself, and to whatever listens there.
    """
    chains = {
        name: tuple(
            rule
            for rule in rules
            if not isinstance(rule.target, SetMark) or ServerMark(family, rule.target.mark) in served
        )
        for name, rules in table.chains.items()
    }
    return Table(table.hooks if any(chains.values()) else {}, chains)


def _of_family(family: Family, *choices: Iterable[Network]) -> list[Network]:
    """The networks of this family of the first choice that has any."""
    found = ([each for each in choice if family_of(each) is family] for choice in choices)
    return next(filter(None, found), [])


def _asked_for(key: ServerAddress) -> tuple[InNetwork, OfProtocol, ToPorts]:
    return (
        InNetwork(Side.DESTINATION, ip_network(key.address)),
        OfProtocol(key.protocol),
        ToPorts((PortRange(key.port, key.port),)),
    )


def _order(key: ServerAddress) -> tuple[bytes, str, int]:
    return key.address.packed, key.protocol.value, key.port
