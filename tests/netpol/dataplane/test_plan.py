"""The order of a plan: what one kind of change after the other needs of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from between import FAMILIES, Between, Opening, assert_no_gap, programmed
from builders import EGRESS, INGRESS, address, block, namespace, node, pod, pods, policy, rule
from tracer import Outcome, Packet, trace

from netpol.compiler import names
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import (
    AddressPortAddress,
    Hook,
    IpSet,
    Member,
    NetworkMember,
    Ruleset,
    SetReference,
    SetType,
)
from netpol.dataplane.apply import apply
from netpol.dataplane.plan import Held, Stale, plan
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
    references_first,
)
from netpol.model.networks import Family, parse_network
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import DenyAction, Enforcement
from netpol.settings import NodeOptions

HERE = node("n1", "192.0.2.10", pod_cidrs=["10.0.0.0/24"])
SERVER = pod("x/server", "10.0.0.2", labels="app=server", node="n1")
CLIENT = pod("x/client", "10.0.0.3", labels="app=red", node="n1")
FAR = pod("x/far", "10.1.0.3", labels="app=red", node="n2")

Object = Namespace | Pod | Node | Policy


def compiled(*objects: Object, families: tuple[Family, ...] = FAMILIES) -> Ruleset:
    """The ruleset of n1 in a world of these objects."""
    world = Snapshot.of(
        [namespace("x"), *(each for each in objects if isinstance(each, Namespace))],
        [each for each in objects if isinstance(each, Pod)],
        [HERE, *(each for each in objects if isinstance(each, Node))],
        [each for each in objects if isinstance(each, Policy)],
    )
    return compile_ruleset(world, NodeOptions("n1", families))


def opening(source: str, destination: str, port: int = 80, hook: Hook = Hook.FORWARD) -> Opening:
    return hook, Packet(address(source), address(destination), Protocol.TCP, port, local=frozenset(HERE.addresses))


def server(*colours: str, ports: tuple[str, ...] = ("80/TCP",)) -> Policy:
    """The policy that lets pods of these colours reach the server."""
    return policy("x/server", "app=server", ingress=[rule([pods(f"app={each}") for each in colours], ports)])


def steps_between(old: Ruleset, new: Ruleset) -> tuple[Step, ...]:
    return plan(new, programmed(old)[1].read(FAMILIES))


OPENINGS = [
    opening(source, destination, port)
    for source, destination in (
        ("10.0.0.3", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.3"),
        ("10.1.0.3", "10.0.0.2"),
        ("10.1.0.3", "10.0.0.3"),
        ("10.0.0.3", "10.1.0.3"),
        ("198.51.100.7", "10.0.0.2"),
        ("198.51.100.7", "10.0.0.3"),
        ("10.0.0.9", "10.1.0.3"),
    )
    for port in (80, 81)
]
"""Between the pods of this module, an address of nobody, and one of nobody's in the node's range."""
MIDSTREAM = [(hook, replace(packet, opening=False)) for hook, packet in OPENINGS]


def test_what_a_set_remembers_is_left_as_it_is_and_the_set_made_where_it_is_missing() -> None:
    """G11: members that vanish in time are no desired state."""
    memory, kernel = programmed(compiled(SERVER))
    cut = compiled(SERVER).sets[names.cut_set(Family.IPV4)]
    memory.sets.add(cut, [AddressPortAddress(bytes([10, 0, 0, 2]), Protocol.UDP, 53, bytes([10, 0, 0, 3]))])
    assert plan(compiled(SERVER), kernel.read(FAMILIES)) == ()
    held = kernel.read(FAMILIES)
    without = Held({name: each for name, each in held.sets.items() if name != cut.name}, held.tables)
    assert plan(compiled(SERVER), without) == (CreateSets((cut,)),)


def test_a_set_that_remembers_for_another_time_is_made_anew() -> None:
    held = programmed(compiled(SERVER))[1].read(FAMILIES)
    cut = compiled(SERVER).sets[names.cut_set(Family.IPV4)]
    shorter = replace(cut, timeout_seconds=30)
    steps = plan(compiled(SERVER), Held({**held.sets, cut.name: shorter}, held.tables))
    assert steps == (DestroySets((shorter,)), CreateSets((cut,)))


RED, BLUE = replace(FAR, labels={"app": "red"}), replace(FAR, labels={"app": "blue"})
DRY_RUN = replace(server("blue"), enforcement=Enforcement.AUDIT)
OPEN_TO_RED = policy("x/red", ingress=[rule([pods("app=red")], ["80/TCP"])])
NEWCOMER = pod("x/newcomer", "10.0.0.9", labels="app=server", node="n1")

CHANGES = {
    "a peer moves between two that are allowed": (
        [SERVER, RED, server("red", "blue")],
        [SERVER, BLUE, server("red", "blue")],
    ),
    "a peer loses what allowed it": ([SERVER, RED, server("red")], [SERVER, BLUE, server("red")]),
    "a rule names the same peer another way": (
        [SERVER, RED, server("red")],
        [SERVER, RED, policy("x/server", "app=server", ingress=[rule([block("10.1.0.0/16")], ["80/TCP"])])],
    ),
    "a rule names the same ports another way": (
        [SERVER, RED, server("red")],
        [SERVER, RED, server("red", ports=("80-81/TCP",))],
    ),
    "a list loses a peer that a new one holds": (
        [SERVER, RED, server("red", "blue")],
        [
            *(SERVER, RED),
            policy(
                "x/server",
                "app=server",
                ingress=[rule([pods("app=blue")], ["80/TCP"]), rule([pods("app=red")], ["80-81/TCP"])],
            ),
        ],
    ),
    "a list gains a peer that an old one held": (
        [
            *(SERVER, RED),
            policy(
                "x/server",
                "app=server",
                ingress=[rule([pods("app=blue")], ["80/TCP"]), rule([pods("app=red")], ["80-81/TCP"])],
            ),
        ],
        [SERVER, RED, server("red", "blue")],
    ),
    "a pod becomes isolated": ([SERVER, RED, CLIENT], [SERVER, RED, CLIENT, server("red")]),
    "a pod is isolated no more": ([SERVER, RED, CLIENT, server("blue")], [SERVER, RED, CLIENT]),
    "an isolated pod appears": ([SERVER, FAR, server("red")], [SERVER, FAR, NEWCOMER, server("red")]),
    "an isolated pod goes": ([SERVER, FAR, NEWCOMER, server("blue")], [SERVER, FAR, server("blue")]),
    "an isolated pod gives its address to an open one": (
        [replace(CLIENT, name="old", labels={"app": "server"}), FAR, server("blue")],
        [CLIENT, FAR, server("blue")],
    ),
    "a namespace is annotated": ([SERVER, FAR], [namespace("x", deny=True), SERVER, FAR]),
    "a policy is enforced that was under audit": (
        [SERVER, FAR, DRY_RUN],
        [SERVER, FAR, server("blue")],
    ),
    "a policy goes under audit": ([SERVER, FAR, server("blue")], [SERVER, FAR, DRY_RUN]),
    "a policy is enforced beside others": (
        [SERVER, RED, server("blue"), replace(OPEN_TO_RED, enforcement=Enforcement.AUDIT)],
        [SERVER, RED, server("blue"), OPEN_TO_RED],
    ),
    "an isolated pod appears under audit": ([FAR, server("blue")], [SERVER, FAR, DRY_RUN]),
    "a pod under audit goes": ([SERVER, FAR, DRY_RUN], [FAR, server("blue")]),
    "refusals are told from now on": (
        [SERVER, FAR, server("blue")],
        [replace(namespace("x"), deny_action=DenyAction.REJECT), SERVER, FAR, server("blue")],
    ),
    "a policy moves from one direction to the other": (
        [SERVER, CLIENT, FAR, policy("x/all", directions=EGRESS)],
        [SERVER, CLIENT, FAR, policy("x/all", directions=INGRESS)],
    ),
    "the range of the node gets smaller than what pods have": (
        [SERVER, CLIENT, NEWCOMER],
        [SERVER, CLIENT, NEWCOMER, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.8/29"])],
    ),
    "the range of the node gets larger": (
        [SERVER, CLIENT, NEWCOMER, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.8/29"])],
        [SERVER, CLIENT, NEWCOMER],
    ),
    "the one address of the range becomes known": (
        [FAR, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.9/32"]), server("blue")],
        [FAR, NEWCOMER, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.9/32"]), server("blue")],
    ),
    "the one address of the range becomes unknown": (
        [FAR, NEWCOMER, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.9/32"]), server("blue")],
        [FAR, node("n1", "192.0.2.10", pod_cidrs=["10.0.0.9/32"]), server("blue")],
    ),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_no_end_is_more_open_or_more_closed_in_between(before: list[Object], after: list[Object]) -> None:
    old, new = compiled(*before), compiled(*after)
    assert steps_between(old, new)
    assert_no_gap(old, new, [*OPENINGS, *MIDSTREAM])


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_the_kernel_holds_what_is_desired_and_a_second_plan_is_empty(before: list[Object], after: list[Object]) -> None:
    desired = compiled(*after)
    memory, kernel = programmed(compiled(*before))
    apply(plan(desired, kernel.read(FAMILIES)), kernel)
    assert memory.sets.read() == desired.sets
    assert plan(desired, kernel.read(FAMILIES)) == ()


DUAL = replace(SERVER, addresses=(*SERVER.addresses, address("fd00::2")))
HOME = namespace("x", deny=True)
SWITCHES: list[tuple[Object, Object]] = [
    (DRY_RUN, server("blue")),
    (replace(HOME, enforcement=Enforcement.AUDIT), HOME),
]


@pytest.mark.parametrize(("audited", "enforced"), SWITCHES, ids=["policy", "namespace"])
@pytest.mark.parametrize("enforcing", [True, False], ids=["enforcing", "auditing"])
def test_a_dry_run_begins_and_ends_with_one_write_of_a_familys_table(
    audited: Object, enforced: Object, *, enforcing: bool
) -> None:
    """X16: for every opening at the same moment."""
    old, new = (compiled(DUAL, each) for each in ((audited, enforced) if enforcing else (enforced, audited)))
    clients = {Family.IPV4: "198.51.100.7", Family.IPV6: "2001:db8::7"}
    openings = {
        family: [opening(clients[family], str(own), port)[1] for port in (80, 81)]
        for family, own in zip(Family, DUAL.addresses, strict=True)
    }
    awaited = {Outcome.ACCEPTED: Outcome.DROPPED, Outcome.DROPPED: Outcome.ACCEPTED}
    now = dict.fromkeys(Family, Outcome.ACCEPTED if enforcing else Outcome.DROPPED)
    between, written = Between(old, new), []
    for step in between.plan():
        held = between.carry_out(step)
        if isinstance(step, WriteTable):
            written.append(step.family)
            now[step.family] = awaited[now[step.family]]
        for family, packets in openings.items():
            assert {trace(held, family, Hook.FORWARD, each).verdict for each in packets} == {now[family]}, step
    assert sorted(written, key=lambda family: family.value) == list(Family)


def test_a_policy_that_changes_sides_lets_nothing_through_on_the_way() -> None:
    """Both ends change at the one moment when the table does: neither judgement allows the packet."""
    old, new = (compiled(SERVER, CLIENT, policy("x/all", directions=each)) for each in (EGRESS, INGRESS))
    hook, packet = opening("10.0.0.3", "10.0.0.2")
    between = Between(old, new)
    for step in steps_between(old, new):
        assert trace(between.carry_out(step), Family.IPV4, hook, packet).verdict is Outcome.DROPPED, str(step)


def test_an_address_stays_unknown_until_its_last_rule_stands() -> None:
    """Its first container may start before the pod's policies are in force (G12)."""
    steps = steps_between(compiled(SERVER, FAR, server("red")), compiled(SERVER, FAR, NEWCOMER, server("red")))
    *_, last = steps
    hole = NetworkMember(address("10.0.0.9").packed, 32, nomatch=True)
    assert isinstance(last, AddMembers)
    assert (last.target.name, last.members) == (names.unknown_set(Family.IPV4), (hole,))


def test_a_list_never_gains_a_set_before_the_set_has_lost_its_members() -> None:
    """Two things change at once: the far pod is red no more, and the server accepts red pods, of which it is none."""
    old = compiled(
        SERVER, CLIENT, RED, server("green"), policy("x/client", "app=red", ingress=[rule([pods("app=red")])])
    )
    new = compiled(
        SERVER, CLIENT, BLUE, server("green", "red"), policy("x/client", "app=red", ingress=[rule([pods("app=red")])])
    )
    assert_no_gap(old, new, OPENINGS)


# --- sets in detail


def held(*sets: IpSet) -> Held:
    return Held({each.name: each for each in sets}, {})


def desired(*sets: IpSet) -> Ruleset:
    return Ruleset({each.name: each for each in sets}, {})


def addresses(name: str, *members: Member, family: Family = Family.IPV4) -> IpSet:
    return IpSet(name, SetType.ADDRESSES, family, frozenset(members))


ONE, TWO = address("10.0.0.1").packed, address("10.0.0.2").packed


def test_a_set_of_another_kind_is_replaced() -> None:
    former = addresses("a", ONE, family=Family.IPV6)
    wanted = addresses("a", TWO)
    assert plan(desired(wanted), held(former)) == (
        DestroySets((former,)),
        CreateSets((wanted,)),
        AddMembers(wanted, (TWO,)),
    )


def test_lists_are_created_last_and_destroyed_first() -> None:
    list_, member = IpSet("a-list", SetType.SETS, None, frozenset({SetReference("b")})), addresses("b", ONE)
    assert plan(desired(list_, member), held()) == (
        CreateSets((member, list_)),
        AddMembers(member, (ONE,)),
        AddMembers(list_, (SetReference("b"),)),
    )
    assert plan(desired(), held(member, list_)) == (DestroySets((list_, member)),)


def test_another_comment_replaces_the_member_and_nothing_else() -> None:
    def listing(comment: str) -> IpSet:
        return IpSet("a", SetType.SETS, None, frozenset({SetReference("b", comment), SetReference("c")}))

    assert plan(desired(listing("new")), held(listing("old"))) == (
        ReplaceMembers(listing("new"), (SetReference("b", "new"),), (SetReference("b", "old"),)),
    )


def test_an_empty_set_needs_no_members() -> None:
    assert plan(desired(addresses("a")), held()) == (CreateSets((addresses("a"),)),)


def test_a_family_that_is_desired_no_more_loses_its_table_and_its_sets() -> None:
    memory, kernel = programmed(compiled(SERVER, RED, server("red")))
    four = compiled(SERVER, RED, server("red"), families=(Family.IPV4,))
    apply(plan(four, kernel.read([Family.IPV4])), kernel)
    assert not memory.tables.read(Family.IPV6).chains
    assert kernel.read([Family.IPV4]) == Held(
        kernel.read(FAMILIES).sets, {Family.IPV4: memory.tables.read(Family.IPV4)}
    )
    assert not [each for each in memory.sets.read().values() if each.family is Family.IPV6]


def test_ranges_come_and_go_around_their_holes() -> None:
    """A known pod's hole is there as long as a range around it is."""

    def unknown(*members: str) -> IpSet:
        name = names.unknown_set(Family.IPV4)
        return IpSet(name, SetType.NETWORKS, Family.IPV4, frozenset(map(network, members)))

    def network(text: str) -> NetworkMember:
        parsed = parse_network(text.lstrip("!"))
        return NetworkMember(parsed.network_address.packed, parsed.prefixlen, text.startswith("!"))

    wanted = unknown("10.0.0.0/25", "!10.0.0.1/32", "!10.0.0.3/32")
    found = unknown("10.0.0.0/24", "!10.0.0.1/32", "!10.0.0.2/32", "!10.0.0.200/32")
    assert plan(desired(wanted), held(found)) == (
        RemoveMembers(wanted, (network("!10.0.0.2/32"),)),
        AddMembers(wanted, (network("!10.0.0.3/32"),)),
        AddMembers(wanted, (network("10.0.0.0/25"),)),
        RemoveMembers(wanted, (network("10.0.0.0/24"),)),
        RemoveMembers(wanted, (network("!10.0.0.200/32"),)),
    )


# --- a part, and what may stay


def test_sets_that_are_not_desired_stay_where_they_may() -> None:
    old, new = compiled(SERVER, CLIENT, server("red")), compiled(SERVER, CLIENT)
    held = programmed(old)[1].read(FAMILIES)
    steps = plan(new, held, Stale.KEEP)
    stale = held.sets.keys() - new.sets.keys()
    assert stale
    assert not [step for step in steps if isinstance(step, DestroySets)]
    assert [*steps, DestroySets(references_first(held.sets[name] for name in held.sets if name in stale))] == list(
        plan(new, held)
    )


def test_a_set_in_the_way_goes_even_where_others_may_stay() -> None:
    desired = compiled(SERVER, CLIENT, server("red"))
    wrong = next(each for each in desired.sets.values() if each.type is SetType.ADDRESSES)
    former = replace(wrong, type=SetType.NETWORKS, members=frozenset())
    held = Held({wrong.name: former}, programmed(Ruleset({}, {}))[1].read(FAMILIES).tables)
    assert plan(desired, held, Stale.KEEP)[0] == DestroySets((former,))


def test_a_part_of_what_is_held_has_its_hooks() -> None:
    held = programmed(compiled(SERVER, CLIENT, server("red")))[1].read(FAMILIES)
    name = next(iter(held.sets))
    part = held.part({name, "absent"}, {"NETPOL-INPUT", "absent"})
    assert part.sets == {name: held.sets[name]}
    for family, table in part.tables.items():
        assert table.chains == {"NETPOL-INPUT": held.tables[family].chains["NETPOL-INPUT"]}
        assert table.hooks == held.tables[family].hooks
