"""Every form of rule has one text; what no rule can say is refused."""

from __future__ import annotations

import pytest
import rule_forms
from hypothesis import given
from hypothesis import strategies as st
from rule_forms import DESTINATION, ICMP, SOURCE, TCP, UDP, ports

from netpol.compiler.ruleset import (
    Action,
    EchoRequest,
    Hook,
    InNetwork,
    Jump,
    Log,
    NotInit,
    NotSyn,
    OfIcmpv6Type,
    Reject,
    Rule,
    Table,
    Tunnelled,
)
from netpol.dataplane.readback import normalise
from netpol.dataplane.render import COMMENT_BYTES, plain_comment, render_rule, render_table
from netpol.dataplane.ruletext import split
from netpol.model.networks import Family, parse_network


@pytest.mark.parametrize("family", Family)
def test_every_form(family: Family) -> None:
    for rule, text in (*rule_forms.forms(family), *rule_forms.nat_forms(), *rule_forms.balanced_forms(family)):
        assert render_rule(rule, family) == text


@pytest.mark.parametrize("family", Family)
def test_a_rendered_rule_is_normal_already(family: Family) -> None:
    for rule, _ in (*rule_forms.forms(family), *rule_forms.nat_forms(), *rule_forms.balanced_forms(family)):
        assert normalise(render_rule(rule, family)) == render_rule(rule, family)


@pytest.mark.parametrize(
    ("rule", "family"),
    [
        (Rule((ports(80),), Action.DROP), Family.IPV4),
        (Rule((ICMP, ports(80)), Action.DROP), Family.IPV4),
        (Rule((UDP, NotSyn()), Action.DROP), Family.IPV4),
        (Rule((NotSyn(),), Action.DROP), Family.IPV4),
        (Rule((UDP, NotInit()), Action.DROP), Family.IPV4),
        (Rule((NotInit(),), Action.DROP), Family.IPV4),
        (Rule((ICMP, OfIcmpv6Type(135)), Action.DROP), Family.IPV4),
        (Rule((TCP, OfIcmpv6Type(135)), Action.DROP), Family.IPV6),
        (Rule((TCP, EchoRequest()), Action.DROP), Family.IPV4),
        (Rule((EchoRequest(),), Action.DROP), Family.IPV6),
        (Rule((TCP, Tunnelled()), Action.DROP), Family.IPV4),
        (Rule((UDP,), Reject.RESET), Family.IPV4),
        (Rule((), Reject.RESET), Family.IPV6),
        (Rule((), Log(1, "ä" * 32)), Family.IPV4),
        (Rule(tuple(InNetwork(SOURCE, parse_network(f"10.{n}.0.0/16")) for n in range(2)), Action.DROP), Family.IPV4),
    ],
)
def test_what_no_rule_can_say_is_refused(rule: Rule, family: Family) -> None:
    with pytest.raises(ValueError, match=r"."):
        render_rule(rule, family)


def test_a_network_per_side_is_one_rule() -> None:
    rule = Rule(
        (InNetwork(DESTINATION, parse_network("10.1.0.0/16")), InNetwork(SOURCE, parse_network("10.2.0.0/16"))),
        Action.DROP,
    )
    assert render_rule(rule, Family.IPV4) == "-s 10.2.0.0/16 -d 10.1.0.0/16 -j DROP"


def test_a_table_renders_its_hooks_and_chains() -> None:
    table = Table(
        {Hook.INPUT: Rule((), Jump("NETPOL-INPUT"))},
        {"NETPOL-INPUT": (Rule((ICMP,), Action.DROP),), "NETPOL-EGRESS": ()},
    )
    rendered = render_table(table, Family.IPV6)
    assert rendered.hooks == {Hook.INPUT: "-j NETPOL-INPUT"}
    assert rendered.chains == {"NETPOL-INPUT": ("-p ipv6-icmp -j DROP",), "NETPOL-EGRESS": ()}


@given(st.text(max_size=400))
def test_a_comment_of_anything_is_one_word_the_tools_leave_alone(text: str) -> None:
    comment = plain_comment(text)
    assert len(comment.encode()) <= COMMENT_BYTES
    assert comment.isprintable()
    assert not set(comment) & set("\"'\\`$")
    rule = render_rule(Rule((), Action.DROP, text), Family.IPV4)
    assert [word.text for word in split(rule)] == (["-m", "comment", "--comment", comment] if comment else []) + [
        "-j",
        "DROP",
    ]
