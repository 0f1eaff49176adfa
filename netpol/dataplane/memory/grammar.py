"""Which rules iptables takes, of those the compiler can make; any other word is refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from netpol.compiler.ruleset import ConnectionState, IpSet, TableName
from netpol.dataplane.ruletext import Word
from netpol.model.networks import Family

MULTIPORT_SLOTS = 15
SET_FIELDS = 6

_TARGETS = frozenset({"ACCEPT", "RETURN", "NFLOG", "SET", "MARK"})
_TARGETS_OF = {
    TableName.FILTER: _TARGETS | {"DROP", "REJECT"},
    TableName.NAT: _TARGETS | {"MASQUERADE"},
    TableName.MANGLE: _TARGETS | {"DROP"},
}
_PROTOCOLS = {
    Family.IPV4: {"tcp", "udp", "sctp", "icmp", "4"},
    Family.IPV6: {"tcp", "udp", "sctp", "ipv6-icmp", "41"},
}
_ICMP_MODULES = {Family.IPV4: "icmp", Family.IPV6: "icmp6"}
_WITH_PORTS = frozenset({"tcp", "udp", "sctp"})
_CHUNKS = frozenset({"DATA", "INIT", "INIT_ACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "COOKIE_ECHO", "COOKIE_ACK"})


_RESET = "tcp-reset"
_REJECTIONS = {
    Family.IPV4: {_RESET, "icmp-port-unreachable"},
    Family.IPV6: {_RESET, "icmp6-port-unreachable"},
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule may refer to: the sets there are, and the chains of its table that are not built in."""

    table: TableName
    family: Family
    find_set: Callable[[str], IpSet | None]
    chains: frozenset[str]


@dataclass(slots=True)
class _Said:
    """What the words so far have said."""

    surroundings: Surroundings
    modules: set[str] = field(default_factory=set)
    sides: set[str] = field(default_factory=set)
    protocol: str = ""
    target: str = ""
    rejection: str = ""


class _Refused(Exception):
    """Why no rule can be made of the words."""


def why_refused(words: Sequence[Word], surroundings: Surroundings) -> str | None:
    """Why iptables refuses the rule, in words; None where it takes it."""
    said = _Said(surroundings)
    following = iter(words)
    try:
        for word in following:
            _option(said, word, following)
    except _Refused as refused:
        return str(refused)
    if said.modules & _WITH_PORTS - {said.protocol} or (
        "multiport" in said.modules and said.protocol not in _WITH_PORTS
    ):
        return "ports are matched without the protocol that has them"
    if "icmp6" in said.modules and said.protocol != "ipv6-icmp":
        return "icmp6 needs -p ipv6-icmp"
    if "icmp" in said.modules and said.protocol != "icmp":
        return "icmp needs -p icmp"
    if said.rejection == _RESET and said.protocol != "tcp":
        return f"{_RESET} needs -p tcp"
    return None


def _option(said: _Said, word: Word, following: Iterator[Word]) -> None:
    option = word.text
    if option == "!" and not word.quoted:
        option = _value(following, "!")
        if option not in _NEGATABLE:
            raise _Refused(f"{option!r} cannot be negated")
    rule = _OPTIONS.get(option)
    if rule is None or word.quoted:
        raise _Refused(f"unknown option {option!r}")
    module, check = rule
    if module and module not in said.modules and said.target != module:
        raise _Refused(f"{option!r} without {module}")
    check(said, option, following)


def _value(following: Iterator[Word], option: str) -> str:
    word = next(following, None)
    if word is None:
        raise _Refused(f"{option!r} needs a value")
    return word.text


def _network(said: _Said, option: str, following: Iterator[Word]) -> None:
    if option in said.sides:
        raise _Refused(f"multiple {option} flags not allowed")
    said.sides.add(option)
    _network_of_family(said, option, following)


def _network_of_family(said: _Said, option: str, following: Iterator[Word]) -> None:
    try:
        network = ipaddress.ip_network(_value(following, option))
    except ValueError as wrong:
        raise _Refused(str(wrong)) from wrong
    if network.version != said.surroundings.family.value:
        raise _Refused(f"{network} is of the other family")


def _protocol(said: _Said, option: str, following: Iterator[Word]) -> None:
    said.protocol = _value(following, option)
    if said.protocol not in _PROTOCOLS[said.surroundings.family]:
        raise _Refused(f"unknown protocol {said.protocol!r}")


def _module(said: _Said, option: str, following: Iterator[Word]) -> None:
    name = _value(following, option)
    if name not in _MODULES | {_ICMP_MODULES[said.surroundings.family]}:
        raise _Refused(f"couldn't load match {name!r}")
    said.modules.add(name)


def _set_and_sides(said: _Said, option: str, following: Iterator[Word]) -> None:
    name, sides = _value(following, option), _value(following, option).split(",")
    found = said.surroundings.find_set(name)
    if found is None:
        raise _Refused(f"set {name} doesn't exist")
    if found.family not in {None, said.surroundings.family}:
        raise _Refused(f"the protocol family of set {name} is not applicable")
    if len(sides) > SET_FIELDS or not set(sides) <= {"src", "dst"}:
        raise _Refused(f"{sides} are no sides of a packet")


def _port(said: _Said, option: str, following: Iterator[Word]) -> None:
    if not said.modules & _WITH_PORTS:
        raise _Refused(f"unknown option {option!r}")
    _port_slots(_value(following, option))


def _ports(_: _Said, option: str, following: Iterator[Word]) -> None:
    if sum(map(_port_slots, _value(following, option).split(","))) > MULTIPORT_SLOTS:
        raise _Refused("too many ports specified")


def _port_slots(text: str) -> int:
    ends = text.split(":")
    if not all(end.isdecimal() and int(end) <= 65535 for end in ends) or len(ends) > 2:
        raise _Refused(f"{text!r} is no port")
    if int(ends[0]) > int(ends[-1]):
        raise _Refused("invalid portrange (min > max)")
    return len(ends)


def _states(_: _Said, option: str, following: Iterator[Word]) -> None:
    known = {state.value for state in ConnectionState}
    states = _value(following, option)
    if not set(states.split(",")) <= known:
        raise _Refused(f"bad ctstate {states!r}")


def _status(_: _Said, option: str, following: Iterator[Word]) -> None:
    status = _value(following, option)
    if status != "CONFIRMED":
        raise _Refused(f"unknown ctstatus {status!r}")


def _flags(_: _Said, option: str, following: Iterator[Word]) -> None:
    flags = [*_value(following, option).split(","), *_value(following, option).split(",")]
    if not set(flags) <= {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ALL", "NONE"}:
        raise _Refused(f"unknown TCP flags {flags}")


def _chunk_types(_: _Said, option: str, following: Iterator[Word]) -> None:
    how, chunks = _value(following, option), _value(following, option)
    if how not in {"all", "any", "only"} or not set(chunks.split(",")) <= _CHUNKS:
        raise _Refused(f"unknown SCTP chunks {how} {chunks!r}")


def _address_type(_: _Said, option: str, following: Iterator[Word]) -> None:
    kind = _value(following, option)
    if kind != "LOCAL":
        raise _Refused(f"unknown address type {kind!r}")


def _number_up_to(highest: int) -> Callable[[_Said, str, Iterator[Word]], None]:
    def check(_: _Said, option: str, following: Iterator[Word]) -> None:
        number = _value(following, option)
        if not number.isdecimal() or int(number) > highest:
            raise _Refused(f"{option!r} takes no {number!r}")

    return check


def _text(_: _Said, option: str, following: Iterator[Word]) -> None:
    _value(following, option)


def _nothing_more(_said: _Said, _option: str, _following: Iterator[Word]) -> None:
    """The option has no value."""


def _way(_: _Said, option: str, following: Iterator[Word]) -> None:
    way = _value(following, option)
    if way not in {"ORIGINAL", "REPLY"}:
        raise _Refused(f"unknown direction {way!r}")


def _mark(_: _Said, option: str, following: Iterator[Word]) -> None:
    mark = _value(following, option)
    if not _MARK.fullmatch(mark):
        raise _Refused(f"{mark!r} is no mark and mask")


def _rejection(said: _Said, option: str, following: Iterator[Word]) -> None:
    said.rejection = _value(following, option)
    if said.rejection not in _REJECTIONS[said.surroundings.family]:
        raise _Refused(f"unknown reject type {said.rejection!r}")


def _target(said: _Said, option: str, following: Iterator[Word]) -> None:
    if said.target:
        raise _Refused("a rule has one target")
    said.target = _value(following, option)
    chains = said.surroundings.chains
    targets = chains if option == "-g" else _TARGETS_OF[said.surroundings.table] | chains
    if said.target not in targets:
        raise _Refused(f"there is no target or chain {said.target!r}")


_MODULES = _WITH_PORTS | {"set", "multiport", "conntrack", "addrtype", "comment", "ipvs"}
_MARK = re.compile(r"0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_NEGATABLE = frozenset(
    {"-s", "-d", "--match-set", "--ctstate", "--ctstatus", "--tcp-flags", "--chunk-types", "--src-type", "--dst-type"}
)

# An option's module ("" for what every rule has; a target's options name the target), and its check.
_OPTIONS: dict[str, tuple[str, Callable[[_Said, str, Iterator[Word]], None]]] = {
    "-s": ("", _network),
    "-d": ("", _network),
    "-p": ("", _protocol),
    "-m": ("", _module),
    "-j": ("", _target),
    "-g": ("", _target),
    "--match-set": ("set", _set_and_sides),
    "--dports": ("multiport", _ports),
    "--dport": ("", _port),
    "--ctstate": ("conntrack", _states),
    "--ctstatus": ("conntrack", _status),
    "--tcp-flags": ("tcp", _flags),
    "--chunk-types": ("sctp", _chunk_types),
    "--src-type": ("addrtype", _address_type),
    "--dst-type": ("addrtype", _address_type),
    "--icmpv6-type": ("icmp6", _number_up_to(255)),
    "--icmp-type": ("icmp", _number_up_to(255)),
    "--vproto": ("ipvs", _number_up_to(255)),
    "--vaddr": ("ipvs", _network_of_family),
    "--vport": ("ipvs", _number_up_to(65535)),
    "--vdir": ("ipvs", _way),
    "--comment": ("comment", _text),
    "--nflog-prefix": ("NFLOG", _text),
    "--nflog-group": ("NFLOG", _number_up_to(65535)),
    "--reject-with": ("REJECT", _rejection),
    "--set-xmark": ("MARK", _mark),
    "--add-set": ("SET", _set_and_sides),
    "--exist": ("SET", _nothing_more),
}
