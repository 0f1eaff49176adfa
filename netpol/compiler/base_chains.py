"""The chains every packet meets before it is known whose policies judge it.

A packet of an established connection meets one rule of ours: the hook's, which does not
match (G2). See docs/kernel-layout.md for the picture.
"""

from __future__ import annotations

from netpol.compiler import log_points, names
from netpol.compiler.ruleset import (
    FILTER_HOOKS,
    Action,
    AddToSet,
    ConnectionState,
    Goto,
    Hook,
    InSet,
    InState,
    Jump,
    LocalAddress,
    Log,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    OfProtocol,
    Rule,
    Side,
    Tunnelled,
)
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.ports import Protocol

DISCOVERY_TYPES = range(133, 137)
"""Router and neighbour solicitation and advertisement: without them IPv6 has no link layer (G10)."""

_ANSWERING = (Side.SOURCE, Side.SOURCE, Side.DESTINATION)
_LIVING = frozenset({ConnectionState.ESTABLISHED, ConnectionState.RELATED})
_OWN_CHAINS = {Protocol.UDP: names.UDP, Protocol.TCP: names.TCP}

_TCP_MIDSTREAM, _SCTP_MIDSTREAM = (
    Rule((OfProtocol(protocol), opens_nothing), Jump(names.MIDSTREAM), "opens no connection")
    for protocol, opens_nothing in ((Protocol.TCP, NotSyn()), (Protocol.SCTP, NotInit()))
)
"""Conntrack takes for new what continues a TCP connection, and an SCTP HEARTBEAT or COOKIE_ECHO, it does not know."""


def hooks() -> dict[Hook, Rule]:
    """The first rule of each built-in chain: what opens a connection comes to us."""
    return {
        hook: Rule(
            (InState(_LIVING, negated=True),), Jump(names.hook_chain(hook)), "netpol: judge what opens a connection"
        )
        for hook in FILTER_HOOKS
    }


def base_chains(family: Family, log_group: int) -> dict[str, tuple[Rule, ...]]:
    """The family's chains between the hooks and the dispatch trees.

    FORWARD judges both ends. INPUT is a pod talking to its own node: only its egress is judged.
    OUTPUT is the node itself, which may always reach its pods (G8), or what a service proxy
    on this node sends on for somebody else, judged like forwarded packets (X5): so what enters
    INPUT for a service address is left to OUTPUT. What the proxy sends on inside a packet of the
    node's own nobody can judge there: an isolated pod gets none of it, and the addresses of such
    servers are in no set, so that INPUT judges who asks for them. A connection picked up in
    mid-stream is refused even from the node: it is one that was cut (G11). UDP has no opening to
    tell it by: there, who answered a flow that was cut is remembered.

    UDP and TCP that the node does not send have chains of their own, entered by goto, so that
    neither pays for what is said of the others. From INPUT no destination is a pod, and the
    rules about destinations match nothing.
    """
    forward = _judge(family)
    node = Rule((LocalAddress(Side.SOURCE),), Action.RETURN, "the node reaches its own pods")
    discovery = {} if family is Family.IPV4 else _discovery(family)
    icmpv6 = () if family is Family.IPV4 else (Rule((OfProtocol(Protocol.ICMP),), Goto(names.ICMPV6)),)
    udp, tcp = (Rule((OfProtocol(each),), Goto(chain)) for each, chain in _OWN_CHAINS.items())
    return {
        names.hook_chain(Hook.FORWARD): (udp, tcp, _SCTP_MIDSTREAM, *icmpv6, *forward),
        names.hook_chain(Hook.INPUT): (
            *(*_to_service(family), udp, tcp, _SCTP_MIDSTREAM),
            *icmpv6,
            *(_sends(family), _unknown(family, Side.SOURCE)),
        ),
        names.hook_chain(Hook.OUTPUT): (
            *(_cut(family), _TCP_MIDSTREAM, _SCTP_MIDSTREAM, _tunnelled(family), node),
            *icmpv6,
            *forward,
        ),
        names.UDP: (_cut(family), *forward),
        names.TCP: (_TCP_MIDSTREAM, *forward),
        names.MIDSTREAM: _midstream(family),
        names.INVALID: _refuse(names.INVALID, log_group, "in mid-stream of a connection that is not known"),
        names.CUT: (_remember(family), *_refuse(names.CUT, log_group, "of a flow that was cut")),
        names.UNKNOWN: _refuse(names.UNKNOWN, log_group, "an address of the pod range that no known pod has"),
        names.TUNNELLED: _refuse(names.TUNNELLED, log_group, "what it carries cannot be judged"),
        **discovery,
    }


def _judge(family: Family) -> tuple[Rule, ...]:
    return (
        _sends(family),
        Rule(
            (InSet(names.isolated_set(Direction.INGRESS, family), (Side.DESTINATION,)),),
            Jump(names.judging_chain(Direction.INGRESS)),
            "to a pod isolated for ingress",
        ),
        _unknown(family, Side.SOURCE),
        _unknown(family, Side.DESTINATION),
    )


def _sends(family: Family) -> Rule:
    return Rule(
        (InSet(names.isolated_set(Direction.EGRESS, family), (Side.SOURCE,)),),
        Jump(names.judging_chain(Direction.EGRESS)),
        "from a pod isolated for egress",
    )


def _unknown(family: Family, side: Side) -> Rule:
    """Fail closed (G12): the bridge's address and others of the node's own are in the range and no pod."""
    return Rule((InSet(names.unknown_set(family), (side,)), LocalAddress(side, negated=True)), Goto(names.UNKNOWN))


def _to_service(family: Family) -> tuple[Rule, ...]:
    """The client's addresses are those that it has in OUTPUT too, where the real destination is known (G5).

    There an address of the node's own is the node (G8). What the node sends to a service itself is translated before
    it could come in here; and the kernel refuses others who send under such an address in IPv4 alone.
    """
    to_service = InSet(names.services_set(family), (Side.DESTINATION, Side.DESTINATION))
    said = "to a service address: judged where it is sent on"
    if family is Family.IPV4:
        return (Rule((to_service,), Action.RETURN, said),)
    others = LocalAddress(Side.SOURCE, negated=True)
    return (
        Rule((to_service, others), Action.RETURN, said),
        Rule((to_service,), Action.DROP, "under an address of the node, and not from it"),
    )


def _tunnelled(family: Family) -> Rule:
    """Direct return: the client is in the packet that is carried, and on the outer one there is the node.

    In both sets is who something isolates for ingress, and something enforced for whichever direction.
    """
    isolated, enforced = names.isolated_set(Direction.INGRESS, family), names.enforced_set(family)
    destination = (Side.DESTINATION,)
    matches = Tunnelled(), InSet(isolated, destination), InSet(enforced, destination)
    return Rule(matches, Goto(names.TUNNELLED), "carries another packet to an isolated pod")


def _midstream(family: Family) -> tuple[Rule, ...]:
    """Packets that would pick up a connection unseen are refused wherever an end is isolated (G11).

    A pod whose every isolation is under audit is not (X16).
    """
    return tuple(Rule((InSet(names.enforced_set(family), (side,)),), Goto(names.INVALID)) for side in Side)


def _cut(family: Family) -> Rule:
    answers = OfProtocol(Protocol.UDP), InSet(names.cut_set(family), _ANSWERING)
    return Rule(answers, Goto(names.CUT), "answers a flow that was cut")


def _remember(family: Family) -> Rule:
    return Rule((), AddToSet(names.cut_set(family), _ANSWERING), "for as long as it goes on")


def _discovery(family: Family) -> dict[str, tuple[Rule, ...]]:
    """ICMPv6 has a chain of its own, so that only its packets pay for the discovery exemption.

    It is entered by goto from every hook; on INPUT no destination is a pod, and the rules
    about destinations match nothing.
    """
    passes = (
        Rule((OfProtocol(Protocol.ICMP), OfIcmpv6Type(number)), Action.RETURN, "neighbour or router discovery")
        for number in DISCOVERY_TYPES
    )
    return {names.ICMPV6: (*passes, *_judge(family))}


def _refuse(chain: str, log_group: int, comment: str) -> tuple[Rule, ...]:
    return Rule((), Log(log_group, log_points.prefix(chain)), comment), Rule((), Action.DROP, comment)
