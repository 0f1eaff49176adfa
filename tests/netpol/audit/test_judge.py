"""Records of what the kernel logged, by the cluster as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import BOTH, EGRESS, address, namespace, node, pod, pods, policy, rule
from history import BEGAN, NODE, Told
from record_schema import conforming

from netpol.audit.capture.folding import Fold
from netpol.audit.capture.packet import Packet
from netpol.audit.judge import Judge
from netpol.audit.record import Action, Cause, ExternalParty, MissEntry, NodeParty, PodParty, PolicyEntry, Record
from netpol.compiler import log_points, names
from netpol.compiler.names import PodChainKind
from netpol.model.moments import SECOND, rfc3339
from netpol.model.policies import Direction
from netpol.model.treatment import AuditLevel, Enforcement, Treatment
from netpol.settings import NodeOptions

DB = replace(pod("shop/db", "10.0.0.2", "fd00::2", labels="app=db", node=NODE), workload="StatefulSet/db")
WEB = replace(pod("shop/web-1", "10.0.1.1", "fd00:1::1", labels="app=web", node="n2"), workload="Deployment/web")
JOB = pod("shop/job", "10.0.1.9", labels="app=job", node="n2")
OWN = node(NODE, "192.168.0.1", pod_cidrs=["10.0.0.0/24"])
SHOP = namespace("shop")
FROM_WEB = policy("shop/db", "app=db", ingress=[rule([pods("app=web")], ["5432/TCP"])])
CLUSTER = (SHOP, OWN, DB, WEB, JOB)

DB_PARTY = PodParty("shop", "db", "uid-of-shop-db", "10.0.0.2", "StatefulSet/db")
JOB_PARTY = PodParty("shop", "job", "uid-of-shop-job", "10.0.1.9", "")
ISOLATING = (PolicyEntry("NetworkPolicy", "shop", "db", "uid-of-shop-db"),)
DENIED = names.pod_chain("shop", "db", Direction.INGRESS)


def packet(
    source: str = "10.0.1.9", destination: str = "10.0.0.2", protocol: int = 6, port: int | None = 5432
) -> Packet:
    return Packet(address(source), address(destination), protocol, 40000 if port else None, port)


def fold(chain: str = DENIED, logged: Packet | None = None, seconds: float = 5) -> Fold:
    """Three packets that met the rule of this chain, the first so long after the beginning."""
    first = BEGAN + int(seconds * SECOND)
    return Fold(log_points.prefix(chain), logged or packet(), 3, first, first + SECOND)


def recorded(told: Told, of: Fold, options: NodeOptions | None = None) -> Record | None:
    record = Judge(told.chronicle, options or NodeOptions(NODE)).record(of, of.last + 2 * SECOND)
    return None if record is None else conforming(record)


def judged(told: Told, of: Fold) -> Record:
    found = recorded(told, of)
    assert found is not None
    return found


def test_a_refusal_by_isolation() -> None:
    assert judged(Told(*CLUSTER, FROM_WEB), fold()) == Record(
        ts=rfc3339(BEGAN + 8 * SECOND),
        node=NODE,
        action=Action.DENY,
        reason=Cause.IMPLICIT_ISOLATION,
        direction="ingress",
        subject=DB_PARTY,
        peer=JOB_PARTY,
        protocol="TCP",
        src_port=40000,
        dst_port=5432,
        icmp_type=None,
        policies=(),
        isolating=ISOLATING,
        nearest_miss=MissEntry(
            *("NetworkPolicy", "shop", "db", "uid-of-shop-db", 0, 0),
            lacked=("peer label",),
            detail="it wants pods with app=web, and shop/job has app=job",
        ),
        count=3,
        first=rfc3339(BEGAN + 5 * SECOND),
        last=rfc3339(BEGAN + 6 * SECOND),
    )


def test_what_is_allowed_names_every_rule_that_allows_it() -> None:
    other = policy("shop/any", "app=db", ingress=[rule(ports=["80/TCP"]), rule()])
    chain = names.pod_chain("shop", "db", Direction.INGRESS, PodChainKind.ALLOWING)
    found = judged(Told(*CLUSTER, FROM_WEB, other), fold(chain, packet("10.0.1.1")))
    assert (found.action, found.reason) == (Action.ALLOW, Cause.RULE)
    assert [(each.name, each.rule) for each in found.policies] == [("any", 1), ("db", 0)]
    assert [(each.name, each.rule) for each in found.isolating] == [("any", None), ("db", None)]
    assert found.nearest_miss is None


def test_x16_what_would_be_refused_says_by_what() -> None:
    chain = names.pod_chain("shop", "db", Direction.INGRESS, PodChainKind.AUDITING)
    found = judged(Told(*CLUSTER, replace(FROM_WEB, enforcement=Enforcement.AUDIT)), fold(chain))
    assert (found.action, found.reason) == (Action.WOULD_DENY, Cause.IMPLICIT_ISOLATION)
    assert (found.policies, found.isolating) == ((), ISOLATING)
    assert found.nearest_miss is not None
    assert found.nearest_miss.lacked == ("peer label",)


def test_x16_what_would_be_refused_in_midstream_says_so() -> None:
    """Enforced, it would be refused before any policy is asked (G11)."""
    chain = names.pod_chain("shop", "db", Direction.INGRESS, PodChainKind.AUDITING)
    told = Told(*CLUSTER, replace(FROM_WEB, enforcement=Enforcement.AUDIT))
    found = judged(told, fold(chain, packet()._replace(opens=False)))
    assert (found.action, found.reason) == (Action.WOULD_DENY, Cause.INVALID)
    assert (found.isolating, found.nearest_miss) == (ISOLATING, None)


def test_an_egress_is_the_sources() -> None:
    out = policy("shop/out", "app=db", directions=EGRESS)
    chain = names.pod_chain("shop", "db", Direction.EGRESS)
    found = judged(Told(*CLUSTER, out), fold(chain, packet("fd00::2", "2001:db8::1", 17, 53)))
    assert (found.direction, found.protocol) == ("egress", "UDP")
    assert found.subject == replace_ip(DB_PARTY, "fd00::2")
    assert found.peer == ExternalParty("2001:db8::1")


def replace_ip(party: PodParty, ip: str) -> PodParty:
    return PodParty(party.namespace, party.name, party.uid, ip, party.workload)


@pytest.mark.parametrize(
    ("logged", "protocol", "words"),
    [
        (packet(protocol=132, port=1), "SCTP", "not 1/SCTP"),
        (packet(protocol=1, port=None)._replace(icmp_type=8), "ICMP", "not ICMP, which needs a rule without ports"),
        (packet("fd00:1::1", "fd00::2", 58, None)._replace(icmp_type=128), "ICMP", "not ICMP, which"),
        (packet("fd00:1::1", "fd00::2", 1, None), "1", "not protocol 1, which needs a rule without ports"),
        (packet(protocol=47, port=None), "47", "not protocol 47, which needs a rule without ports"),
    ],
)
def test_g10_protocols_by_name_and_by_number(logged: Packet, protocol: str, words: str) -> None:
    found = judged(Told(*CLUSTER, FROM_WEB), fold(logged=logged))
    assert found.protocol == protocol
    assert found.icmp_type == logged.icmp_type
    assert found.reason is Cause.IMPLICIT_ISOLATION
    assert found.nearest_miss is not None
    assert words in found.nearest_miss.detail


def test_names_are_those_of_the_packets_moment() -> None:
    """An address used again is not confused, and a pod that is gone is still named."""
    thief = pod("shop/thief", "10.0.1.9", labels="app=web", node="n2")
    told = Told(*CLUSTER, FROM_WEB)
    told.becomes(SHOP, OWN, DB, WEB, FROM_WEB, seconds=10)
    told.becomes(SHOP, OWN, DB, WEB, thief, FROM_WEB, seconds=20)
    told.becomes(SHOP, OWN, seconds=30)
    gone = PodParty("shop", "job", "uid-of-shop-job", "10.0.1.9", "", gone=True)
    assert judged(told, fold(seconds=5)).peer == JOB_PARTY
    assert judged(told, fold(seconds=15)).peer == gone
    allowed = judged(told, fold(names.pod_chain("shop", "db", Direction.INGRESS, PodChainKind.ALLOWING), seconds=25))
    assert allowed.peer == PodParty("shop", "thief", "uid-of-shop-thief", "10.0.1.9", "")


def test_a_verdict_beside_a_change_is_explained_by_the_side_that_gives_it() -> None:
    told = Told(*CLUSTER)
    told.becomes(*CLUSTER, FROM_WEB, seconds=10, took=0.5)
    found = judged(told, fold(seconds=9.8))
    assert (found.reason, found.isolating) == (Cause.IMPLICIT_ISOLATION, ISOLATING)
    told.becomes(*CLUSTER, seconds=20)
    assert judged(told, fold(seconds=20.9)).isolating == ISOLATING


def test_what_no_state_near_explains_is_unknown() -> None:
    told = Told(*CLUSTER)
    told.becomes(*CLUSTER, FROM_WEB, seconds=10)
    found = judged(told, fold(seconds=8.9))
    assert (found.action, found.reason) == (Action.DENY, Cause.UNKNOWN)
    assert (found.direction, found.subject, found.peer) == ("ingress", DB_PARTY, JOB_PARTY)
    assert (found.policies, found.isolating, found.nearest_miss) == ((), (), None)


@pytest.mark.parametrize("kind", [PodChainKind.ALLOWING, PodChainKind.AUDITING], ids=["allowed", "would be denied"])
def test_another_verdict_than_the_kernels_explains_nothing(kind: PodChainKind) -> None:
    """X16, X17: not isolated, it is allowed by no rule; enforced, it is no dry run."""
    logged = fold(names.pod_chain("shop", "db", Direction.INGRESS, kind))
    assert judged(Told(*CLUSTER), logged).reason is Cause.UNKNOWN
    assert judged(Told(*CLUSTER, FROM_WEB), logged).reason is Cause.UNKNOWN


def test_a_pod_that_had_not_the_address_is_not_explained() -> None:
    """Whose chain it was is certain, why is not."""
    found = judged(Told(*CLUSTER, FROM_WEB), fold(logged=packet(destination="10.0.0.7")))
    assert (found.reason, found.subject) == (Cause.UNKNOWN, replace_ip(DB_PARTY, "10.0.0.7"))


def test_a_chain_of_an_unknown_pod_is_nobodys() -> None:
    found = judged(Told(*CLUSTER, FROM_WEB), fold(names.pod_chain("shop", "other", Direction.EGRESS)))
    assert (found.reason, found.direction) == (Cause.UNKNOWN, "egress")
    assert (found.subject, found.peer) == (ExternalParty("10.0.1.9"), DB_PARTY)


def test_before_the_first_state_began_only_addresses_are_known() -> None:
    told = Told(*CLUSTER, FROM_WEB)
    found = judged(told, fold(seconds=-5))
    assert (found.action, found.reason) == (Action.DENY, Cause.UNKNOWN)
    assert (found.subject, found.peer) == (ExternalParty("10.0.0.2"), ExternalParty("10.0.1.9"))


def test_a_verdict_before_the_first_facts_is_explained_by_them_where_they_may_have_been_held() -> None:
    """The rules are those of an earlier run, for any time: the facts are new to this one only."""
    told = Told(*CLUSTER, FROM_WEB, took=3600)
    found = judged(told, fold(seconds=-1800))
    assert (found.action, found.reason, found.isolating) == (Action.DENY, Cause.IMPLICIT_ISOLATION, ISOLATING)
    assert (found.subject, found.peer) == (DB_PARTY, JOB_PARTY)


def test_where_the_first_state_gives_another_verdict_only_addresses_are_known() -> None:
    found = judged(Told(*CLUSTER, took=3600), fold(seconds=-1800))
    assert (found.action, found.reason, found.isolating) == (Action.DENY, Cause.UNKNOWN, ())
    assert (found.subject, found.peer) == (ExternalParty("10.0.0.2"), ExternalParty("10.0.1.9"))


@pytest.mark.parametrize("prefix", ["", "calico-drop", "2:NETPOL-CUT", "1:NETPOL-OTHER"])
def test_a_prefix_that_is_not_understood_is_not_guessed_at(prefix: str) -> None:
    found = judged(Told(*CLUSTER, FROM_WEB), replace(fold(), prefix=prefix))
    assert (found.action, found.reason, found.direction) == (Action.UNKNOWN, Cause.UNKNOWN, None)
    assert (found.subject, found.peer) == (JOB_PARTY, DB_PARTY)


class TestUnknownPods:
    """G12."""

    @pytest.mark.parametrize(
        ("source", "destination", "direction", "subject"),
        [
            ("10.0.0.77", "10.0.1.1", "egress", "10.0.0.77"),
            ("10.0.1.1", "10.0.0.77", "ingress", "10.0.0.77"),
            ("10.0.0.77", "10.0.0.78", "egress", "10.0.0.77"),
            ("10.0.0.2", "10.0.0.78", "ingress", "10.0.0.78"),
        ],
    )
    def test_the_subject_is_the_unknown_address(
        self, source: str, destination: str, direction: str, subject: str
    ) -> None:
        found = judged(Told(*CLUSTER), fold(names.UNKNOWN, packet(source, destination)))
        assert (found.action, found.reason, found.direction) == (Action.DENY, Cause.UNKNOWN_POD, direction)
        assert found.subject == ExternalParty(subject)
        assert found.isolating == ()

    def test_who_had_it_shortly_before_is_named(self) -> None:
        told = Told(*CLUSTER)
        told.becomes(SHOP, OWN, WEB, JOB, seconds=10)
        found = judged(told, fold(names.UNKNOWN, seconds=15))
        assert found.subject == PodParty("shop", "db", "uid-of-shop-db", "10.0.0.2", "StatefulSet/db", gone=True)

    def test_where_both_ends_are_known_nobody_is_accused(self) -> None:
        found = judged(Told(*CLUSTER), fold(names.UNKNOWN))
        assert (found.reason, found.direction) == (Cause.UNKNOWN_POD, None)
        assert (found.subject, found.peer) == (JOB_PARTY, DB_PARTY)

    def test_a_pod_that_became_known_a_moment_later_is_not_yet_one(self) -> None:
        told = Told(SHOP, OWN, WEB, JOB)
        told.becomes(*CLUSTER, seconds=10)
        assert judged(told, fold(names.UNKNOWN, seconds=10.2)).subject == ExternalParty("10.0.0.2")


class TestMidstream:
    """G11."""

    SHOPPER = pod("shop/shopper", "10.0.0.5", labels="app=web", node=NODE)

    @pytest.mark.parametrize("chain", [names.INVALID, names.CUT])
    def test_the_isolated_destination_refuses_it(self, chain: str) -> None:
        found = judged(Told(*CLUSTER, FROM_WEB), fold(chain))
        assert (found.action, found.reason, found.direction) == (Action.DENY, Cause.INVALID, "ingress")
        assert (found.subject, found.peer, found.isolating) == (DB_PARTY, JOB_PARTY, ISOLATING)
        assert found.nearest_miss is None

    def test_what_carries_another_packet_is_refused_to_the_isolated_destination(self) -> None:
        """X5."""
        found = judged(Told(*CLUSTER, FROM_WEB), fold(names.TUNNELLED, packet("192.168.0.1")))
        assert (found.action, found.reason, found.direction) == (Action.DENY, Cause.INVALID, "ingress")
        assert (found.subject, found.peer) == (DB_PARTY, NodeParty(NODE, "192.168.0.1"))

    def test_an_answer_meets_what_isolates_its_source_for_the_other_way(self) -> None:
        found = judged(Told(*CLUSTER, FROM_WEB), fold(names.INVALID, packet("10.0.0.2", "10.0.1.9")))
        assert (found.direction, found.subject, found.isolating) == ("egress", DB_PARTY, ISOLATING)

    def test_the_own_node_is_refused_too(self) -> None:
        found = judged(Told(*CLUSTER, FROM_WEB), fold(names.INVALID, packet("192.168.0.1")))
        assert (found.subject, found.peer) == (DB_PARTY, NodeParty(NODE, "192.168.0.1"))
        assert found.isolating == ISOLATING

    def test_of_two_isolated_ends_the_destination_is_the_subject(self) -> None:
        told = Told(*CLUSTER, self.SHOPPER, policy("shop/all", directions=BOTH))
        assert judged(told, fold(names.INVALID, packet("10.0.0.5"))).subject == DB_PARTY

    def test_an_end_isolated_for_the_way_it_goes_comes_first(self) -> None:
        told = Told(*CLUSTER, self.SHOPPER, policy("shop/out", directions=EGRESS))
        found = judged(told, fold(names.INVALID, packet("10.0.0.5")))
        assert (found.direction, found.subject) == (
            "egress",
            PodParty("shop", "shopper", "uid-of-shop-shopper", "10.0.0.5", ""),
        )

    def test_where_nobody_is_isolated_the_reason_is_certain_all_the_same(self) -> None:
        found = judged(Told(*CLUSTER), fold(names.CUT))
        assert (found.reason, found.direction, found.isolating) == (Cause.INVALID, None, ())
        assert (found.subject, found.peer) == (JOB_PARTY, DB_PARTY)

    def test_x17_where_nothing_is_recorded_of_one_end_the_other_is_the_subject(self) -> None:
        quiet = replace(namespace("quiet"), audit=AuditLevel.NONE)
        mute = pod("quiet/mute", "10.0.0.6", node=NODE)
        told = Told(*CLUSTER, quiet, mute, policy("quiet/all"), policy("shop/all", directions=BOTH))
        assert judged(told, fold(names.INVALID, packet("10.0.0.2", "10.0.0.6"))).subject == DB_PARTY
        assert recorded(told, fold(names.INVALID, packet("10.0.1.9", "10.0.0.6"))) is None


class TestSilence:
    """X17."""

    QUIET = replace(SHOP, audit=AuditLevel.NONE)

    def test_nothing_is_recorded_of_a_silenced_namespace(self) -> None:
        told = Told(self.QUIET, OWN, DB, WEB, JOB, FROM_WEB)
        assert recorded(told, fold()) is None
        assert recorded(told, fold(seconds=-5)) is not None

    def test_the_level_is_that_of_the_moment(self) -> None:
        told = Told(self.QUIET, OWN, DB, WEB, JOB, FROM_WEB)
        told.becomes(*CLUSTER, FROM_WEB, seconds=10)
        assert recorded(told, fold(seconds=5)) is None
        assert recorded(told, fold(seconds=15)) is not None

    def test_a_peer_cannot_silence_it(self) -> None:
        quiet = replace(namespace("quiet"), audit=AuditLevel.NONE)
        told = Told(*CLUSTER, quiet, pod("quiet/mute", "10.0.1.8", node="n2"), FROM_WEB)
        assert recorded(told, fold(logged=packet("10.0.1.8"))) is not None

    def test_the_node_may_be_silent_by_default(self) -> None:
        options = NodeOptions(NODE, treatment=Treatment(audit=AuditLevel.NONE))
        told = Told(replace(SHOP, audit=AuditLevel.DENIES), OWN, DB, JOB, FROM_WEB, options=options)
        assert recorded(told, fold(), options) is not None
        assert recorded(told, fold(names.UNKNOWN, packet(destination="10.0.0.77")), options) is None
