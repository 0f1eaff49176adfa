"""NetworkPolicies: the two meanings of one shape, and what is left of a spec that is not understood (M7, X3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import BOTH, EGRESS, INGRESS, beta, block, pods, policy, rule

from netpol.model.labels import EVERYTHING
from netpol.model.policies import Direction, Policy, PolicyRule, Semantics
from netpol.model.treatment import Enforcement
from netpol.source.fields import Malformed
from netpol.source.policies import decode_policy

BETA, V1 = Semantics.ANNOTATION, Semantics.V1
METADATA = {"namespace": "x", "name": "allow", "uid": "uid-of-x-allow"}
FRONTEND = {"podSelector": {"matchLabels": {"tier": "frontend"}}}
NOTHING = rule(peers=[], ports=[])


def decoded(spec: object, semantics: Semantics = V1) -> tuple[Policy, list[str]]:
    found, notices = decode_policy({"metadata": METADATA, "spec": spec}, semantics)
    assert all((notice.kind, notice.namespace, notice.name) == ("NetworkPolicy", "x", "allow") for notice in notices)
    return found, [f"{notice.field}: {notice.message}" for notice in notices]


def understood(spec: object, semantics: Semantics = V1) -> Policy:
    found, notices = decoded(spec, semantics)
    assert notices == []
    return found


def ingress(semantics: Semantics, *rules: object) -> tuple[Sequence[PolicyRule], list[str]]:
    found, notices = decoded({"ingress": list(rules)}, semantics)
    assert found.directions == INGRESS
    return found.ingress, notices


def test_a_guestbook_policy_whose_from_is_null_restricts_no_peer() -> None:
    spec = {
        "podSelector": {"matchLabels": {"tier": "frontend"}},
        "ingress": [{"from": None, "ports": [{"protocol": "TCP", "port": 80}]}],
    }
    assert understood(spec, BETA) == beta("x/allow", "tier=frontend", ingress=[rule(ports=["80/TCP"])])


def test_a_v1_policy_in_full() -> None:
    spec = {
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
        "policyTypes": ["Egress", "Ingress"],
        "ingress": [
            {"from": [FRONTEND, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            {"ports": [{"port": "http"}, {"port": 8000, "endPort": 8100, "protocol": "UDP"}]},
        ],
        "egress": [{"to": [{"namespaceSelector": {}, "podSelector": {}}], "ports": [{"protocol": "SCTP"}]}],
    }
    assert understood(spec) == policy(
        "x/allow",
        "app",
        ingress=[
            rule(peers=[pods("tier=frontend"), block("10.0.0.0/8", "10.1.0.0/16")]),
            rule(ports=["http/TCP", "8000-8100/UDP"]),
        ],
        egress=[rule(peers=[pods(namespaces="")], ports=["*/SCTP"])],
    )


def test_what_the_object_is_called_and_its_generation() -> None:
    found, _ = decode_policy({"metadata": {"name": "a.b", "generation": 7}, "spec": {}}, V1)
    assert (found.namespace, found.name, found.uid, found.generation) == ("default", "a.b", "", 7)


@pytest.mark.parametrize("semantics", Semantics)
def test_x16_a_policy_under_audit(semantics: Semantics) -> None:
    metadata = METADATA | {"annotations": {"netpol.io/enforcement": "audit", "other": 5}}
    found, notices = decode_policy({"metadata": metadata, "spec": {"podSelector": {}}}, semantics)
    assert found == replace(understood({"podSelector": {}}, semantics), enforcement=Enforcement.AUDIT)
    assert notices == ()


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        (
            {"netpol.io/enforcement": "off"},
            "metadata.annotations[netpol.io/enforcement]: must be enforce or audit, not 'off'; it is enforced",
        ),
        (["netpol.io/enforcement"], "metadata.annotations: must be a mapping, not a list"),
    ],
)
def test_x16_m7_an_annotation_that_is_not_understood_leaves_the_policy_enforced(
    annotations: object, problem: str
) -> None:
    fields = {"metadata": METADATA | {"annotations": annotations}, "spec": {"podSelector": {}}}
    found, [notice] = decode_policy(fields, V1)
    assert found == understood({"podSelector": {}})
    assert f"{notice.field}: {notice.message}" == problem


@pytest.mark.parametrize(
    "metadata",
    [None, [], {}, {"name": 5}, {"name": "A"}, {"name": "a", "namespace": 5}, {"name": "a", "generation": "1"}],
)
def test_a_policy_that_cannot_be_told_from_others_is_malformed(metadata: object) -> None:
    with pytest.raises(Malformed):
        decode_policy({"metadata": metadata, "spec": {"podSelector": {}}}, V1)


# --- the pods selected


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("spec", [{}, {"podSelector": None}, {"podSelector": {}}])
def test_without_a_selector_every_pod_is_selected(semantics: Semantics, spec: object) -> None:
    assert understood(spec, semantics).pods == EVERYTHING


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("chosen", ["app=web", [], {"matchLabel": {"a": "b"}}, {"matchLabels": {"a": 1}}])
def test_an_unreadable_selector_isolates_every_pod_and_allows_nothing(semantics: Semantics, chosen: object) -> None:
    found, notices = decoded({"podSelector": chosen, "ingress": [{}], "egress": [{}]}, semantics)
    assert found.pods == EVERYTHING
    assert found.directions == (INGRESS if semantics is BETA else BOTH)
    assert found.ingress == found.egress == ()
    assert "spec.podSelector: is not understood; the policy isolates every pod and allows nothing" in notices


# --- directions


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, INGRESS),
        ({"policyTypes": None}, INGRESS),
        ({"policyTypes": []}, INGRESS),
        ({"policyTypes": [], "egress": []}, INGRESS),
        ({"egress": None}, INGRESS),
        ({"egress": [{}]}, BOTH),
        ({"egress": [{}], "policyTypes": ["Ingress"]}, INGRESS),
        ({"ingress": [{}], "policyTypes": ["Egress"]}, EGRESS),
        ({"policyTypes": ["Egress"]}, EGRESS),
        ({"policyTypes": ["Ingress", "Egress"]}, BOTH),
        ({"policyTypes": ["Ingress", "Ingress"]}, INGRESS),
    ],
)
def test_the_directions_a_v1_policy_isolates_for(spec: object, directions: frozenset[Direction]) -> None:
    assert understood(spec).directions == directions


def test_rules_for_a_direction_not_isolated_are_inert() -> None:
    found = understood({"ingress": [{}], "policyTypes": ["Egress"]})
    assert found.rules(Direction.INGRESS) == ()


@pytest.mark.parametrize(
    "types",
    [
        "Ingress",
        {},
        {"Ingress": True},
        0,
        False,
        ["ingress"],
        ["Ingress", "Both"],
        [None],
        [["Egress"]],
        ["Ingress"] * 3,
    ],
)
def test_unreadable_types_isolate_for_both_and_the_rules_count(types: object) -> None:
    found, notices = decoded({"policyTypes": types, "ingress": [{}], "egress": []})
    assert found.directions == BOTH
    assert found.rules(Direction.INGRESS) == (rule(),)
    assert found.rules(Direction.EGRESS) == ()
    assert notices == ["spec.policyTypes: must list Ingress or Egress or both; the policy isolates for both"]


@pytest.mark.parametrize("rules", ["all", {}, {"to": []}, 0, False])
def test_unreadable_egress_isolates_for_egress(rules: object) -> None:
    found, [notice] = decoded({"egress": rules})
    assert found.directions == BOTH
    assert found.egress == ()
    assert notice.startswith("spec.egress: must be a list")


@pytest.mark.parametrize("rules", ["all", {}, {"from": []}, 0, False])
@pytest.mark.parametrize("semantics", Semantics)
def test_unreadable_ingress_has_no_rules_and_still_isolates(semantics: Semantics, rules: object) -> None:
    found, [notice] = decoded({"ingress": rules}, semantics)
    assert found.directions == INGRESS
    assert found.ingress == ()
    assert notice.startswith("spec.ingress: must be a list")


def test_a_policy_without_a_spec_isolates_every_pod_for_ingress() -> None:
    for semantics in Semantics:
        found, notices = decode_policy({"metadata": METADATA}, semantics)
        assert (found.pods, found.directions, found.ingress) == (EVERYTHING, INGRESS, ())
        assert [notice.field for notice in notices] == ["spec"]


@pytest.mark.parametrize("spec", [[], "deny", 5, True])
def test_an_unreadable_spec_isolates_every_pod_for_all_it_could_have_meant(spec: object) -> None:
    found, [notice] = decoded(spec)
    assert (found.pods, found.directions, found.ingress, found.egress) == (EVERYTHING, BOTH, (), ())
    assert notice.startswith("spec: must be a mapping")
    assert decoded(spec, BETA)[0].directions == INGRESS


@pytest.mark.parametrize("semantics", Semantics)
def test_an_unknown_field_of_the_spec_is_only_reported(semantics: Semantics) -> None:
    found, notices = decoded({"ingress": [{}], "ingres": []}, semantics)
    assert found.ingress == (rule(),)
    assert notices == ["spec.ingres: is no field known here"]


def test_later_fields_are_ignored_under_the_annotation() -> None:
    found, notices = decoded({"policyTypes": ["Egress"], "egress": [{}], "ingress": [{}]}, BETA)
    assert found == beta("x/allow", ingress=[rule()])
    assert [notice.partition(":")[0] for notice in notices] == ["spec.policyTypes", "spec.egress"]
    assert understood({"policyTypes": None, "egress": None}, BETA) == beta("x/allow")


def test_what_a_server_puts_into_a_beta_policy_itself_is_no_notice() -> None:
    assert understood({"policyTypes": ["Ingress"], "ingress": [{}]}, BETA) == beta("x/allow", ingress=[rule()])
    _, notices = decoded({"policyTypes": ["Ingress", "Egress"]}, BETA)
    assert [notice.partition(":")[0] for notice in notices] == ["spec.policyTypes"]


# --- rules


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("rules", [None, []])
def test_no_rules_allow_nothing(semantics: Semantics, rules: object) -> None:
    assert understood({"ingress": rules}, semantics).ingress == ()


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("anything", [{}, {"from": None}, {"ports": None}, {"from": None, "ports": None}])
def test_a_rule_with_neither_part_allows_everything(semantics: Semantics, anything: object) -> None:
    assert ingress(semantics, anything) == ((rule(),), [])


def test_an_empty_part_matches_nothing_in_beta_and_anything_in_v1() -> None:
    assert ingress(BETA, {"from": []}) == ((rule(peers=[]),), [])
    assert ingress(BETA, {"ports": []}) == ((rule(ports=[]),), [])
    assert ingress(V1, {"from": [], "ports": []}) == ((rule(),), [])


@pytest.mark.parametrize("semantics", Semantics)
def test_an_empty_port_entry_is_all_of_tcp(semantics: Semantics) -> None:
    assert ingress(semantics, {"ports": [{}]}) == ((rule(ports=["*/TCP"]),), [])


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("odd", [None, [], "all", 0, True])
def test_a_rule_that_is_no_mapping_matches_nothing(semantics: Semantics, odd: object) -> None:
    rules, [notice] = ingress(semantics, odd)
    assert rules == (NOTHING,)
    assert notice.startswith("spec.ingress[0]: must be a rule")


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("field", ["form", "to", "port", "From"])
def test_a_rule_with_an_unknown_field_matches_nothing(semantics: Semantics, field: str) -> None:
    assert ingress(semantics, {field: [FRONTEND]}) == ((NOTHING,), [f"spec.ingress[0].{field}: is no field known here"])
    assert ingress(semantics, {"from": [FRONTEND], field: None})[0] == (NOTHING,)


def test_an_egress_rule_has_to_and_no_from() -> None:
    found, notices = decoded({"egress": [{"from": [FRONTEND]}, {"to": [FRONTEND]}]})
    assert found == policy("x/allow", egress=[NOTHING, rule(peers=[pods("tier=frontend")])])
    assert notices == ["spec.egress[0].from: is no field known here"]


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("part", ["from", "ports"])
@pytest.mark.parametrize("odd", [{}, "all", 0, False, True])
def test_a_part_that_is_no_list_matches_nothing(semantics: Semantics, part: str, odd: object) -> None:
    [found], [notice] = ingress(semantics, {part: odd})
    assert (found.peers if part == "from" else found.ports) == ()
    assert notice.startswith(f"spec.ingress[0].{part}: must be a list")


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("part", ["from", "ports"])
def test_a_part_with_only_bad_entries_matches_nothing(semantics: Semantics, part: str) -> None:
    [found], notices = ingress(semantics, {part: [None, "x", {"?": 1}]})
    assert (found.peers if part == "from" else found.ports) == ()
    assert len(notices) == 3


@pytest.mark.parametrize("semantics", Semantics)
def test_good_entries_count_beside_bad_ones(semantics: Semantics) -> None:
    rules, notices = ingress(semantics, {"from": [None, FRONTEND], "ports": [{"port": 0}, {"port": 80}]}, "bad", {})
    assert rules == policy("x/a", ingress=[rule([pods("tier=frontend")], ["80/TCP"]), NOTHING, rule()]).ingress
    assert [notice.partition(":")[0] for notice in notices] == [
        "spec.ingress[0].from[0]",
        "spec.ingress[0].ports[0].port",
        "spec.ingress[1]",
    ]


def test_rules_keep_their_index() -> None:
    rules, _ = ingress(V1, {}, None, {})
    assert [found.index for found in rules] == [0, 1, 2]


@pytest.mark.parametrize(
    ("misspelt", "directions", "allows"),
    [
        ({"podSelectr": {"matchLabels": {"app": "db"}}, "ingress": [{}]}, {Direction.INGRESS}, False),
        ({"podSelector": {}, "policytypes": ["Egress"]}, set(Direction), False),
        ({"podSelector": {}, "ingress": [{}], "egres": [{}]}, set(Direction), True),
        ({"podSelector": {}, "Ingress": [{}]}, {Direction.INGRESS}, False),
        ({"podSelector": {}, "ingress": [{}], "comment": "x"}, {Direction.INGRESS}, True),
    ],
)
def test_a_misspelt_field_is_one_that_cannot_be_understood(
    misspelt: dict[str, object], directions: set[Direction], allows: bool
) -> None:
    """M7: what it would have restricted is restricted whatever it says."""
    fields = {"metadata": {"name": "p", "namespace": "x"}, "spec": misspelt}
    policy, notices = decode_policy(fields, Semantics.V1)
    assert (policy.pods, policy.directions, bool(policy.ingress)) == (EVERYTHING, frozenset(directions), allows)
    assert notices
