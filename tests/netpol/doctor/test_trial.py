"""The trials on this machine's kernel, and in a namespace that has been made unable."""

from collections.abc import Sequence

import pytest
from private_network import missing

from netpol.dataplane.iptables import IptablesTables
from netpol.doctor import trial
from netpol.doctor.features import rule_features, set_features
from netpol.doctor.host import Trials
from netpol.doctor.proxy_features import SCHEDULERS, proxy_set_features, table_features
from netpol.doctor.trial import try_kernel
from netpol.errors import KernelRefusal
from netpol.lab.namespace import LabError
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel


def tried(families: Sequence[Family] = tuple(Family), variants: Sequence[Variant] = tuple(Variant)) -> Trials:
    try:
        return try_kernel(families, variants)
    except LabError as refused:
        missing(str(refused))


def test_this_kernel_has_everything_the_firewall_needs() -> None:
    trials = tried()
    assert [each for each in trials.tables.values() if each.refusal] == []
    assert [each for rules in trials.rules.values() for each in rules if each.refusal] == []
    assert [each for sets in trials.sets.values() for each in sets if each.refusal] == []
    assert [each for each in trials.flow_reads.values() if each.refusal] == []
    assert trials.log.refusal is None
    assert [each for each in trials.links if each.refusal] == []


def test_every_feature_is_tried_for_each_variant_and_family() -> None:
    trials = tried()
    assert set(trials.rules) == {(variant, family) for variant in Variant for family in Family}
    for (_, family), rules in trials.rules.items():
        assert [each.name for each in rules] == [each.name for each in rule_features(family)]
    for family, sets in trials.sets.items():
        assert [each.name for each in sets] == [each.name for each in set_features(family)]


def test_what_only_the_service_proxy_needs_is_tried_in_every_table() -> None:
    trials = tried()
    for (_, family), rules in trials.proxy_rules.items():
        features = [each.feature.name for each in table_features(family)]
        assert [each.name for each in rules] == ["nat table", "mangle table", *features]
        assert [each.name for each in rules if each.refusal] in ([], ["ipvs"]), "a kernel may lack IPVS"
    for family, sets in trials.proxy_sets.items():
        assert [each.name for each in sets] == [each.name for each in proxy_set_features(family)]
        assert [each for each in sets if each.refusal] == []


def test_schedulers_are_tried_where_there_is_ipvs() -> None:
    trials = tried([Family.IPV4], [])
    assert [each.name for each in trials.schedulers] == ([] if trials.ipvs.refusal else list(SCHEDULERS))


def test_only_what_is_asked_for_is_tried() -> None:
    trials = tried([Family.IPV6], [Variant.NFT])
    assert set(trials.tables) == {(Variant.NFT, Family.IPV6)}
    assert set(trials.sets) == set(trials.flow_reads) == {Family.IPV6}


def test_nothing_of_the_trials_is_left_and_the_own_namespace_is_as_before(private_network: None) -> None:
    before = [_rules(variant, family) for variant in Variant for family in Family]
    tried()
    tried()
    assert [_rules(variant, family) for variant in Variant for family in Family] == before


def test_a_table_that_is_refused_has_no_rules_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    write = IptablesTables.write

    def refuse_legacy(self: IptablesTables, family: Family, lines: Sequence[str]) -> None:
        if self.variant is Variant.LEGACY:
            raise KernelRefusal("no such table\nand more")
        write(self, family, lines)

    monkeypatch.setattr(IptablesTables, "write", refuse_legacy)
    trials = tried()
    assert trials.tables[Variant.LEGACY, Family.IPV4].refusal == "no such table"
    assert {variant for variant, _ in trials.rules} == {Variant.NFT}


def _rules(variant: Variant, family: Family) -> list[str]:
    text = IptablesTables(variant).save(family)
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(KernelRefusal("no ip_set"), "no ip_set"), (LabError("no"), "no")],
)
def test_a_set_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(trial, "_make_set", refuse)
    trials = tried([Family.IPV4], [Variant.NFT])
    assert {each.refusal for each in trials.sets[Family.IPV4]} == {reason}
    # They name sets that are not there: what depends on a refused feature is refused too.
    assert [each.name for each in trials.rules[Variant.NFT, Family.IPV4] if each.refusal] == ["set", "SET"]
