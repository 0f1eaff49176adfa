from typing import get_args

import pytest

from netpol.compiler.names import is_ours
from netpol.compiler.ruleset import (
    Action,
    AddToSet,
    Balanced,
    EchoRequest,
    InSet,
    Match,
    SetMark,
    SetReference,
    SetType,
    Target,
)
from netpol.dataplane.render import render_rule
from netpol.doctor.features import TABLE_MODULES, rule_features, set_features
from netpol.model.networks import Family
from netpol.settings import Variant

OF_THE_PROXY: set[object] = {EchoRequest, Balanced, SetMark, SetType.ADDRESS_PORT_NETWORKS}
"""What only the service proxy's rules are made of: a kernel without them can have a firewall."""


def test_every_match_and_target_of_the_compiler_is_tried() -> None:
    rules = [feature.rule for family in Family for feature in rule_features(family)]
    assert {type(match) for rule in rules for match in rule.matches} == set(get_args(Match)) - OF_THE_PROXY
    assert {type(rule.target) for rule in rules} == set(get_args(Target)) - OF_THE_PROXY
    assert any(rule.target is Action.RETURN for rule in rules)


@pytest.mark.parametrize("family", Family)
def test_every_rule_can_be_written(family: Family) -> None:
    texts = [render_rule(feature.rule, family) for feature in rule_features(family)]
    assert len(texts) == len(set(texts))
    assert any("! --tcp-flags FIN,SYN,RST,ACK SYN" in text for text in texts)


@pytest.mark.parametrize("family", Family)
def test_every_type_of_set_is_tried_and_those_it_names_come_first(family: Family) -> None:
    sets = [feature.set for feature in set_features(family)]
    assert {each.type for each in sets} == set(SetType) - OF_THE_PROXY
    assert [feature.name for feature in set_features(family)] == [each.type.value for each in sets]
    for index, each in enumerate(sets):
        named = {member.name for member in each.members if isinstance(member, SetReference)}
        assert named <= {earlier.name for earlier in sets[:index]}
        assert each.members
        assert is_ours(each.name)


@pytest.mark.parametrize("family", Family)
def test_the_rules_name_sets_that_are_made(family: Family) -> None:
    made = {feature.set.name for feature in set_features(family)}
    rules = [feature.rule for feature in rule_features(family)]
    named = [part for rule in rules for part in (*rule.matches, rule.target) if isinstance(part, InSet | AddToSet)]
    assert {part.name for part in named} <= made


def test_the_module_behind_every_table_is_named() -> None:
    assert set(TABLE_MODULES) == {(variant, family) for variant in Variant for family in Family}
