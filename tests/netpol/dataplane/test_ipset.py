"""The kernel's sets by the thousand, beside others' sets, and its refusals in words."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
from collections.abc import Callable, Sequence

import pytest
from dying_socket import DEATHS, Death, bury

from netpol.compiler.ruleset import AddressPort, IpSet, Member, NetworkMember, SetReference, SetType
from netpol.dataplane import ipset, ipset_messages
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.netlink import NetlinkError, NetlinkSocket
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.settings import Variant


def numbered(number: int, kind: SetType = SetType.ADDRESSES, family: Family | None = Family.IPV4) -> IpSet:
    return IpSet(f"NETPOL-S-{base64.b32encode(number.to_bytes(10, 'big')).decode()}", kind, family)


def run(*arguments: str) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


@pytest.mark.kernel
@pytest.mark.parametrize("kind", [SetType.ADDRESSES, SetType.NETWORKS, SetType.ADDRESS_PORTS])
@pytest.mark.parametrize("family", Family)
def test_ten_thousand_members_in_few_messages(kind: SetType, family: Family, private_network: None) -> None:
    addresses = [bytes(family.bits // 8 - 4) + (0x0A000000 + index).to_bytes(4, "big") for index in range(10_000)]
    members: dict[SetType, list[Member]] = {
        SetType.ADDRESSES: list(addresses),
        SetType.NETWORKS: [NetworkMember(each, family.bits, index % 2 == 0) for index, each in enumerate(addresses)],
        SetType.ADDRESS_PORTS: [AddressPort(each, Protocol.SCTP, 80) for each in addresses],
    }
    target = numbered(1, kind, family)
    with NetlinkSets() as sets:
        sets.create([target])
        sets.add(target, members[kind])
        assert sets.read()[target.name].members == frozenset(members[kind])
        sets.remove(target, members[kind][1:])
        assert sets.read()[target.name].members == frozenset(members[kind][:1])


@pytest.mark.kernel
def test_ipset_itself_shows_what_was_meant(private_network: None) -> None:
    nets = numbered(1, SetType.NETWORKS)
    ports = numbered(2, SetType.ADDRESS_PORTS, Family.IPV6)
    lists = numbered(3, SetType.SETS, None)
    with NetlinkSets() as sets:
        sets.create([nets, ports, lists])
        sets.add(nets, [NetworkMember(bytes([10, 1, 0, 0]), 16, nomatch=True)])
        sets.add(ports, [AddressPort(bytes(15) + b"\1", Protocol.SCTP, 9)])
        sets.add(lists, [SetReference(nets.name, "pods of web")])
    saved = run("ipset", "save")
    assert f"add {nets.name} 10.1.0.0/16 nomatch\n" in saved
    assert f"add {ports.name} ::1,sctp:9\n" in saved
    assert f'add {lists.name} {nets.name} comment "pods of web"\n' in saved
    assert "hashsize 64 maxelem 1048576" in saved


@pytest.mark.kernel
def test_a_set_grows_beyond_what_ipset_itself_would_give_it(private_network: None) -> None:
    target = numbered(1)
    members = frozenset(index.to_bytes(4, "big") for index in range(1, 70_001))
    with NetlinkSets() as sets:
        sets.create([target])
        sets.add(target, members)
        assert sets.read_members(target) == members


@pytest.mark.kernel
def test_a_set_that_others_made_too_small_is_told_to_be_full(private_network: None) -> None:
    target = numbered(1)
    run("ipset", "create", target.name, "hash:ip", "maxelem", "64")
    with NetlinkSets() as sets:
        refused = f"^ipset {target.name}: cannot add .*: the set is full$"
        with pytest.raises(KernelRefusal, match=refused):
            sets.add(target, [bytes([10, 0, 0, index]) for index in range(65)])


@pytest.mark.kernel
def test_a_hash_is_created_as_large_as_it_will_be(private_network: None) -> None:
    members = frozenset(index.to_bytes(4, "big") for index in range(1, 3001))
    target = numbered(1)
    with NetlinkSets() as sets:
        sets.create([IpSet(target.name, target.type, target.family, members)])
    assert "hashsize 4096" in run("ipset", "list", "-t", target.name)


@pytest.mark.kernel
def test_a_thousand_sets_are_made_and_destroyed_beside_others(private_network: None) -> None:
    run("ipset", "create", "KUBE-NODE-PORT", "bitmap:port", "range", "0-65535")
    run("ipset", "create", "theirs", "hash:ip")
    run("ipset", "add", "theirs", "192.0.2.1")
    targets = [numbered(index) for index in range(1000)]
    with NetlinkSets() as sets:
        sets.create(targets)
        assert len(sets.read()) == 1000
        sets.destroy(target.name for target in targets)
        assert sets.read() == {}
    assert run("ipset", "list", "-n").split() == ["KUBE-NODE-PORT", "theirs"]
    assert "192.0.2.1" in run("ipset", "save", "theirs")


@pytest.mark.kernel
def test_a_set_named_like_ours_of_another_type_is_left_alone(private_network: None) -> None:
    foreign = numbered(1)
    run("ipset", "create", foreign.name, "bitmap:port", "range", "0-65535")
    with NetlinkSets() as sets:
        assert sets.read() == {}
        with pytest.raises(KernelRefusal, match=f"^ipset {foreign.name} cannot be created: .* exists already"):
            sets.create([foreign])


@pytest.mark.kernel
def test_what_others_added_to_our_set_is_seen(private_network: None) -> None:
    target, ports = numbered(1), numbered(2, SetType.ADDRESS_PORTS)
    with NetlinkSets() as sets:
        sets.create([ports])
        run("ipset", "create", target.name, "hash:ip", "timeout", "300", "counters")
        run("ipset", "add", target.name, "10.0.0.1")
        run("ipset", "add", ports.name, "10.0.0.1,udplite:80")
        run("ipset", "add", ports.name, "10.0.0.1,udp:80")
        assert sets.read()[target.name].members == {bytes([10, 0, 0, 1])}
        assert sets.read()[ports.name].members == {AddressPort(bytes([10, 0, 0, 1]), Protocol.UDP, 80)}


@pytest.mark.kernel
@pytest.mark.parametrize("variant", Variant)
def test_a_set_that_a_rule_refers_to_stays_until_the_rule_is_gone(
    variant: Variant,
    private_network: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables, targets = IptablesTables(variant), [numbered(index) for index in range(50)]
    rules = [f"-A NETPOL-INPUT -m set --match-set {target.name} src -j DROP" for target in targets]
    with NetlinkSets() as sets:
        sets.create(targets)
        tables.write(Family.IPV4, [":NETPOL-INPUT - [0:0]", *rules])
        with monkeypatch.context() as impatient:
            impatient.setattr(ipset, "_RELEASE_SECONDS", 0.1)
            refused = r"^ipset NETPOL-S-\w+ cannot be destroyed: a rule .* refers to it, and 49 more$"
            with pytest.raises(KernelRefusal, match=refused):
                sets.destroy(target.name for target in targets)
        assert len(sets.read()) == 50
        # At once, while the nft variant's rules may still hold their sets.
        tables.write(Family.IPV4, ["-F NETPOL-INPUT"])
        sets.destroy(target.name for target in targets)
        assert sets.read() == {}


@pytest.mark.kernel
def test_a_list_made_without_comments_refuses_them_in_words(private_network: None) -> None:
    member, lists = numbered(1), numbered(2, SetType.SETS, None)
    run("ipset", "create", lists.name, "list:set")
    with NetlinkSets() as sets:
        sets.create([member])
        with pytest.raises(KernelRefusal, match=f"^ipset {lists.name}: cannot add {member.name}: .* without comments"):
            sets.add(lists, [SetReference(member.name, "why")])


@pytest.mark.kernel
def test_without_rights_the_refusal_says_so(private_network: None) -> None:
    os.seteuid(65534)
    try:
        with NetlinkSets() as sets, pytest.raises(KernelRefusal, match=r"^the ipsets cannot be read: it takes root"):
            sets.read()
    finally:
        os.seteuid(0)


@pytest.mark.kernel
def test_what_did_not_change_is_not_decoded_again(private_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [numbered(index) for index in range(3)]
    with NetlinkSets() as sets:
        sets.create(targets)
        first = sets.read()
        sets.add(targets[1], [bytes([10, 0, 0, 1])])
        decoded: list[str] = []
        decode = ipset_messages.decode_set

        def note(answers: Sequence[bytes]) -> IpSet | None:
            found = decode(answers)
            decoded.append("" if found is None else found.name)
            return found

        monkeypatch.setattr(ipset_messages, "decode_set", note)
        second = sets.read()
        sets.destroy([targets[2].name])
        assert sets.read().keys() == {targets[0].name, targets[1].name}
    assert decoded == [targets[1].name]
    assert second[targets[0].name] is first[targets[0].name]
    assert second[targets[1].name].members == {bytes([10, 0, 0, 1])}


@pytest.mark.kernel
def test_members_of_a_set_of_a_type_that_is_never_made_are_not_guessed(private_network: None) -> None:
    run("ipset", "create", numbered(1).name, "bitmap:port", "range", "0-65535")
    with (
        NetlinkSets() as sets,
        pytest.raises(KernelRefusal, match=f"^ipset {numbered(1).name} cannot be read: .* type"),
    ):
        sets.read_members(numbered(1))


@pytest.mark.kernel
def test_a_survey_sees_what_others_made_of_our_sets(private_network: None) -> None:
    plain, remade = numbered(1), numbered(2)
    with NetlinkSets() as sets:
        sets.create([plain, remade])
        sets.add(plain, [bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])])
        run("ipset", "flush", plain.name)
        run("ipset", "destroy", remade.name)
        run("ipset", "create", remade.name, "bitmap:port", "range", "0-65535")
        survey = sets.survey()
    assert survey[plain.name].members == 0
    assert survey[remade.name].type is None


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EPERM, "it takes root"),
        (errno.EINVAL, "modprobe ip_set"),
        (errno.ETIMEDOUT, "the kernel did not answer"),
        (errno.ENOMEM, "the kernel has no memory for it"),
        (errno.ENOBUFS, "the kernel's answer was lost"),
        (errno.ENOSPC, "No space left on device"),
        (4098, "modprobe ip_set_hash_ip"),
        (4099, "as many sets as it can"),
        (4199, "netfilter error 4199"),
    ],
)
def test_every_number_of_the_kernels_becomes_words(
    number: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NetlinkSocket, "call_all", lambda _, requests: iter([NetlinkError(number) for _ in requests]))
    with NetlinkSets() as sets, pytest.raises(KernelRefusal, match=says):
        sets.create([numbered(1)])


def test_without_a_socket_the_refusal_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(NetlinkSocket, "__init__", refuse)
    with pytest.raises(KernelRefusal, match=r"^no netlink socket for ipset: Protocol not supported"):
        NetlinkSets()


WRITES: dict[str, Callable[[NetlinkSets], object]] = {
    "the ipsets cannot be read": NetlinkSets.read,
    "the ipsets cannot be surveyed": NetlinkSets.survey,
    "ipsets cannot be created": lambda sets: sets.create([numbered(1)]),
    f"ipset {numbered(1).name}: cannot add members": lambda sets: sets.add(numbered(1), [bytes([10, 0, 0, 1])]),
    f"ipset {numbered(1).name}: cannot remove members": lambda sets: sets.remove(numbered(1), [bytes([10, 0, 0, 1])]),
    f"ipset {numbered(1).name} cannot be read": lambda sets: sets.read_members(numbered(1)),
    f"ipset {numbered(1).name} cannot be destroyed": lambda sets: sets.destroy_unused(numbered(1).name),
    "ipsets cannot be destroyed": lambda sets: sets.destroy([numbered(1).name]),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
@pytest.mark.parametrize(("what", "write"), WRITES.items(), ids=WRITES)
def test_a_socket_that_dies_is_a_refusal_in_words(
    what: str, write: Callable[[NetlinkSets], object], death: Death, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(monkeypatch, death)
    with NetlinkSets() as sets, pytest.raises(KernelRefusal, match=f"^{what}: .*({death.says})"):
        write(sets)
