"""What every IPVS does: the kernel's, and the one in memory."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from netpol.errors import KernelRefusal
from netpol.model.networks import Address, Family
from netpol.model.ports import NUMBERS_WITH_PORTS, Protocol
from netpol.model.services import SchedulerFlag
from proxy.kernel.protocols import VirtualServers
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerKey,
    ServerMark,
)


def address(family: Family, number: int) -> Address:
    return ip_address(f"10.96.0.{number}" if family is Family.IPV4 else f"fd00:96::{number}")


def server(family: Family = Family.IPV4, protocol: Protocol = Protocol.TCP, number: int = 1) -> ServerAddress:
    return ServerAddress(address(family, number), protocol, 80)


def endpoint(family: Family = Family.IPV4, number: int = 1, port: int = 8080) -> Destination:
    return Destination(ip_address(f"10.244.0.{number}" if family is Family.IPV4 else f"fd00:244::{number}"), port)


KEYS: tuple[ServerKey, ...] = (
    *(server(family, protocol) for family in Family for protocol in NUMBERS_WITH_PORTS),
    *(ServerMark(family, 0x4E000001) for family in Family),
)
SCHEDULINGS = (
    Scheduling(),
    Scheduling("sh", frozenset({SchedulerFlag.FIRST, SchedulerFlag.SECOND})),
    Scheduling("mh", frozenset(SchedulerFlag), 10800),
    Scheduling("wlc", persistence_seconds=1),
)
KEY, TO = server(), endpoint()


class VirtualServerCases:
    """Cases for a fixture `servers`, which begins with none."""

    def test_there_are_none_at_first(self, servers: VirtualServers) -> None:
        assert servers.read() == {}
        assert servers.read_one(KEY) is None

    @pytest.mark.parametrize("scheduling", SCHEDULINGS, ids=lambda each: each.scheduler)
    @pytest.mark.parametrize("key", KEYS, ids=str)
    def test_a_server_reads_back_as_it_was_added(
        self, servers: VirtualServers, key: ServerKey, scheduling: Scheduling
    ) -> None:
        servers.apply([AddServer(key, scheduling)])
        assert servers.read() == {key: HeldServer(key, scheduling)}
        assert servers.read_one(key) == HeldServer(key, scheduling)

    def test_servers_are_told_apart_by_all_of_their_keys(self, servers: VirtualServers) -> None:
        servers.apply(AddServer(key, Scheduling()) for key in KEYS)
        servers.apply([AddDestination(KEYS[0], TO), RemoveServer(KEYS[-1])])
        assert servers.keys() == set(KEYS[:-1])
        assert servers.read() == {
            key: HeldServer(key, Scheduling(), {TO: HeldDestination()} if key == KEYS[0] else {}) for key in KEYS[:-1]
        }

    @pytest.mark.parametrize("key", KEYS, ids=str)
    @pytest.mark.parametrize("forwarding", Forwarding)
    def test_destinations_read_back_as_they_were_added(
        self, servers: VirtualServers, key: ServerKey, forwarding: Forwarding
    ) -> None:
        first, second = endpoint(key.family, 1), endpoint(key.family, 2, 65535)
        servers.apply(
            [
                AddServer(key, Scheduling()),
                AddDestination(key, first, 1, forwarding),
                AddDestination(key, second, 0, forwarding),
            ]
        )
        held = {first: HeldDestination(1, forwarding), second: HeldDestination(0, forwarding)}
        assert servers.read() == {key: HeldServer(key, Scheduling(), held)}
        assert servers.read_one(key) == HeldServer(key, Scheduling(), held)

    @pytest.mark.parametrize("key", [KEYS[0], KEYS[3], *KEYS[-2:]], ids=str)
    def test_destinations_stay_when_the_scheduler_changes(self, servers: VirtualServers, key: ServerKey) -> None:
        to = endpoint(key.family)
        servers.apply([AddServer(key, SCHEDULINGS[2]), AddDestination(key, to)])
        for scheduling in SCHEDULINGS:
            servers.apply([EditServer(key, scheduling)])
            assert servers.read() == {key: HeldServer(key, scheduling, {to: HeldDestination()})}

    def test_a_destination_gets_another_weight(self, servers: VirtualServers) -> None:
        servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO), AddDestination(KEY, endpoint(number=2))])
        servers.apply([EditDestination(KEY, TO, 0)])
        held = {TO: HeldDestination(0), endpoint(number=2): HeldDestination(1)}
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling(), held)}

    def test_destinations_go_one_by_one_or_with_their_server(self, servers: VirtualServers) -> None:
        servers.apply([AddServer(KEY, Scheduling()), *(AddDestination(KEY, endpoint(number=n)) for n in (1, 2, 3))])
        servers.apply([RemoveDestination(KEY, endpoint(number=2))])
        found = servers.read_one(KEY)
        assert found is not None
        assert found.destinations.keys() == {endpoint(number=1), endpoint(number=3)}
        servers.apply([RemoveServer(KEY), AddServer(KEY, Scheduling("lc"))])
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling("lc"))}

    def test_what_is_gone_already_is_no_error(self, servers: VirtualServers) -> None:
        servers.apply([RemoveServer(KEY), RemoveDestination(KEY, TO)])
        servers.apply([AddServer(KEY, Scheduling()), RemoveDestination(KEY, TO)])
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling())}

    def test_what_is_there_already_is_made_to_fit(self, servers: VirtualServers) -> None:
        servers.apply([AddServer(KEY, SCHEDULINGS[2]), AddDestination(KEY, TO, 7)])
        servers.apply([AddServer(KEY, Scheduling("sed")), AddDestination(KEY, TO, 1, Forwarding.TUNNEL)])
        held = {TO: HeldDestination(1, Forwarding.TUNNEL)}
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling("sed"), held)}

    def test_the_last_of_several_steps_holds(self, servers: VirtualServers) -> None:
        servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO)])
        servers.apply(
            [
                AddServer(KEY, Scheduling("lc")),
                AddDestination(KEY, TO, 5),
                EditServer(KEY, Scheduling("wlc")),
                EditDestination(KEY, TO, 0),
            ]
        )
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling("wlc"), {TO: HeldDestination(0)})}
        servers.apply([AddServer(KEY, Scheduling("lc")), AddDestination(KEY, TO, 5), RemoveServer(KEY)])
        assert servers.read() == {}

    def test_what_is_not_there_cannot_be_edited(self, servers: VirtualServers) -> None:
        with pytest.raises(KernelRefusal, match=r"server 10\.96\.0\.1:80/TCP cannot be edited: there is no such virt"):
            servers.apply([EditServer(KEY, Scheduling())])
        servers.apply([AddServer(KEY, Scheduling())])
        with pytest.raises(
            KernelRefusal,
            match=r"destination 10\.244\.0\.1:8080 of virtual server 10\.96\.0\.1:80/TCP cannot be edited: there is no",
        ):
            servers.apply([EditDestination(KEY, TO, 0)])
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling())}

    def test_a_refused_step_stops_none_of_the_others(self, servers: VirtualServers) -> None:
        keys = [server(number=number) for number in range(1, 5)]
        steps = [AddServer(key, Scheduling("nonsense" if index < 3 else "rr")) for index, key in enumerate(keys)]
        with pytest.raises(
            KernelRefusal,
            match=r"virtual server 10\.96\.0\.1:80/TCP cannot be added: the kernel has no scheduler nonsense "
            r"\(modprobe ip_vs_nonsense\), and something of 2 more virtual servers$",
        ):
            servers.apply([*steps, *(AddDestination(key, TO) for key in keys)])
        assert servers.read() == {keys[3]: HeldServer(keys[3], Scheduling(), {TO: HeldDestination()})}

    def test_another_scheduler_that_is_missing_leaves_the_one_there_is(self, servers: VirtualServers) -> None:
        servers.apply([AddServer(KEY, Scheduling())])
        with pytest.raises(KernelRefusal, match=r"cannot be edited: the kernel has no scheduler nonsense"):
            servers.apply([EditServer(KEY, Scheduling("nonsense"))])
        assert servers.read() == {KEY: HeldServer(KEY, Scheduling())}

    def test_schedulers_that_are_there_are_offered(self, servers: VirtualServers) -> None:
        assert [each for each in ("rr", "mh", "nonsense", "none", "ftp", "", "x" * 16) if servers.offers(each)] == [
            "rr",
            "mh",
        ]
        assert servers.read() == {}

    def test_a_thousand_steps_are_carried_out_in_order(self, servers: VirtualServers) -> None:
        keys = [ServerAddress(ip_address(0x0A600000 + number), Protocol.TCP, 80) for number in range(500)]
        servers.apply(step for key in keys for step in (AddServer(key, Scheduling()), AddDestination(key, TO)))
        assert servers.read() == {key: HeldServer(key, Scheduling(), {TO: HeldDestination()}) for key in keys}
