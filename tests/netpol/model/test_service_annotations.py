"""The annotations of a Service, as a person writes them and as notices name them."""

from __future__ import annotations

import re
from pathlib import Path

from netpol.model.service_annotations import ServiceAnnotation

PAGE = Path(__file__).parents[3] / "docs/service-proxy.md"


def test_names_are_kube_routers() -> None:
    assert {each.name: each.value for each in ServiceAnnotation} == {
        "SCHEDULER": "kube-router.io/service.scheduler",
        "SCHEDULER_FLAGS": "kube-router.io/service.schedflags",
        "LOCAL": "kube-router.io/service.local",
        "HAIRPIN": "kube-router.io/service.hairpin",
        "DIRECT_RETURN": "kube-router.io/service.dsr",
        "SKIP_LOAD_BALANCER": "kube-router.io/service.skiplbips",
    }


def test_notices_name_the_field() -> None:
    assert ServiceAnnotation.HAIRPIN.field == "metadata.annotations[kube-router.io/service.hairpin]"


def test_the_page_describes_every_annotation_and_no_other() -> None:
    rows = re.findall(r"^\| `(kube-router\.io/service\.\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(each.value for each in ServiceAnnotation)
