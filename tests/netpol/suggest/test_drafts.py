"""Policies as objects of the API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from builders import address

from netpol.model.policies import Direction
from netpol.model.ports import ProtocolPort
from netpol.model.treatment import Enforcement
from netpol.suggest.drafts import Dialect, Draft, PodTerm, Term

WEB = PodTerm("", (("app", "web"),))
CLIENT = PodTerm("ops", (("app", "client"),))


def ports(*texts: str) -> frozenset[ProtocolPort]:
    return frozenset(map(ProtocolPort.parse, texts))


def draft(ports_of: Mapping[Term, frozenset[ProtocolPort] | None], direction: Direction = Direction.INGRESS) -> Draft:
    return Draft(Dialect.V1, "shop", "Deployment/web", WEB, direction, Enforcement.ENFORCE, ports_of)


def name_of(policy: Draft, *taken: str) -> str:
    document: Any = policy.document(taken)
    name: str = document["metadata"]["name"]
    return name


def rules(ports_of: Mapping[Term, frozenset[ProtocolPort] | None]) -> Any:
    document: Any = draft(ports_of).document(())
    return document["spec"]["ingress"]


def test_a_policy_for_ingress_as_the_api_has_it() -> None:
    policy = draft({CLIENT: ports("80/TCP")})
    assert policy.document(()) == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name_of(policy), "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
                            "podSelector": {"matchLabels": {"app": "client"}},
                        }
                    ],
                    "ports": [{"protocol": "TCP", "port": 80}],
                }
            ],
        },
    }


def test_one_for_egress_has_its_own_words() -> None:
    document: Any = draft({WEB: ports("53/UDP")}, Direction.EGRESS).document(())
    assert document["spec"]["policyTypes"] == ["Egress"]
    assert document["spec"]["egress"] == [
        {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"protocol": "UDP", "port": 53}]}
    ]
    assert "ingress" not in document["spec"]


def test_b13_one_of_the_older_api_states_no_types() -> None:
    document: Any = replace(draft({WEB: ports("80/TCP")}), dialect=Dialect.BETA).document(())
    assert document["apiVersion"] == "extensions/v1beta1"
    assert document["spec"].keys() == {"podSelector", "ingress"}


def test_x16_one_under_audit_says_so() -> None:
    document: Any = replace(draft({WEB: None}), enforcement=Enforcement.AUDIT).document(())
    assert document["metadata"]["annotations"] == {"netpol.io/enforcement": "audit"}


def test_peers_of_the_same_ports_share_a_rule() -> None:
    merged = rules(
        {WEB: ports("80/TCP", "53/UDP"), CLIENT: ports("53/UDP", "80/TCP"), address("192.0.2.1"): ports("80/TCP")}
    )
    assert [(len(rule["from"]), len(rule["ports"])) for rule in merged] == [(1, 1), (2, 2)]


def test_a_rule_for_every_port_has_no_ports() -> None:
    assert rules({WEB: None}) == [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]


@pytest.mark.parametrize(
    ("addresses", "blocks"),
    [
        ("192.0.2.4 192.0.2.5 192.0.2.6", ["192.0.2.4/31", "192.0.2.6/32"]),
        ("192.0.2.7 192.0.2.4 192.0.2.6 192.0.2.5", ["192.0.2.4/30"]),
        ("192.0.2.5 192.0.2.6", ["192.0.2.5/32", "192.0.2.6/32"]),
        ("2001:db8::1 192.0.2.1 2001:db8::", ["192.0.2.1/32", "2001:db8::/127"]),
    ],
)
def test_addresses_that_fill_a_network_are_one_block(addresses: str, blocks: list[str]) -> None:
    [rule] = rules({address(text): ports("80/TCP") for text in addresses.split()})
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"]] == blocks


def test_the_order_in_which_things_were_met_is_not_seen() -> None:
    asked = {WEB: ports("80/TCP"), CLIENT: ports("81/TCP"), address("192.0.2.1"): ports("80/TCP", "80/UDP")}
    assert draft(asked).document(()) == draft(dict(reversed(asked.items()))).document(())


def test_a_name_follows_from_all_that_the_policy_says() -> None:
    one = draft({WEB: ports("80/TCP")})
    others = [
        draft({WEB: ports("81/TCP")}),
        draft({WEB: ports("80/TCP")}, Direction.EGRESS),
        replace(one, namespace="ops"),
        replace(one, labels=CLIENT),
        replace(one, enforcement=Enforcement.AUDIT),
        replace(one, dialect=Dialect.BETA),
    ]
    assert name_of(one) == name_of(replace(one))
    assert len({name_of(one), *map(name_of, others)}) == 1 + len(others)


def test_a_name_that_another_policy_has_is_not_taken() -> None:
    one = draft({WEB: ports("80/TCP")})
    first = name_of(one)
    second = name_of(one, f"shop/{first}", "shop/other")
    third = name_of(one, f"shop/{first}", f"shop/{second}")
    assert len({first, second, third}) == 3
    assert name_of(one, f"ops/{first}") == first


@pytest.mark.parametrize(
    ("workload", "begins"),
    [
        ("Deployment/web", "allow-web-ingress-"),
        ("my.pod_1", "allow-my-pod-1-ingress-"),
        ("Deployment/" + "a" * 300, "allow-" + "a" * 40 + "-ingress-"),
        ("Deployment/" + "a" * 39 + "-b", "allow-" + "a" * 39 + "-ingress-"),
        ("Deployment/...", "allow-pods-ingress-"),
    ],
)
def test_names_are_dns_labels(workload: str, begins: str) -> None:
    name = name_of(replace(draft({WEB: None}), workload=workload))
    assert name.startswith(begins)
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63
