"""What only the service proxy needs of a kernel is tried, and nothing twice."""

import pytest

from netpol.compiler.names import is_ours
from netpol.compiler.ruleset import Action, Balanced, EchoRequest, SetMark, SetType, TableName
from netpol.dataplane.render import render_rule
from netpol.doctor.features import rule_features, set_features
from netpol.doctor.proxy_features import module_of, proxy_set_features, table_features
from netpol.model.networks import Family
from netpol.settings import Variant


@pytest.mark.parametrize("family", Family)
def test_every_kind_of_rule_that_only_the_proxy_has_is_tried_in_its_table(family: Family) -> None:
    tried = [
        (each.table, part)
        for each in table_features(family)
        for part in (*each.feature.rule.matches, each.feature.rule.target)
    ]
    kinds = {(table, part if isinstance(part, Action) else type(part)) for table, part in tried}
    assert kinds >= {
        (TableName.FILTER, EchoRequest),
        (TableName.NAT, Balanced),
        (TableName.NAT, Action.MASQUERADE),
        (TableName.MANGLE, SetMark),
    }


@pytest.mark.parametrize("family", Family)
def test_every_rule_can_be_written_and_none_is_the_firewalls(family: Family) -> None:
    texts = {render_rule(each.feature.rule, family) for each in table_features(family)}
    assert len(texts) == len(table_features(family))
    assert texts.isdisjoint(render_rule(each.rule, family) for each in rule_features(family))


@pytest.mark.parametrize("family", Family)
def test_the_sets_are_those_that_the_firewall_has_not(family: Family) -> None:
    sets = [each.set for each in proxy_set_features(family)]
    assert [(each.type, each.has_comments) for each in sets] == [
        (SetType.ADDRESS_PORTS, True),
        (SetType.ADDRESS_PORT_NETWORKS, False),
    ]
    assert all(each.members and is_ours(each.name) for each in sets)
    assert {each.name for each in sets}.isdisjoint(each.set.name for each in set_features(family))


def test_the_module_of_a_table_is_named() -> None:
    assert module_of(TableName.MANGLE, Variant.LEGACY, Family.IPV4) == "iptable_mangle"
    assert module_of(TableName.NAT, Variant.NFT, Family.IPV4) == "nft_compat"
