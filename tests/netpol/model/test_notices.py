from __future__ import annotations

from netpol.model.notices import Notice


def test_a_notice_names_the_object_and_the_field() -> None:
    assert str(Notice("NetworkPolicy", "x", "p", "spec", "is null")) == "NetworkPolicy x/p: spec: is null"
    assert str(Notice("Node", "", "n1", "spec.podCIDR", "no CIDR")) == "Node n1: spec.podCIDR: no CIDR"
