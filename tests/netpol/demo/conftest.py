"""What the tests of the demo need of the machine."""

from __future__ import annotations

import pytest
from private_network import missing

from netpol.lab.namespace import LabError, require_namespaces


@pytest.fixture(autouse=True)
def _namespaces(request: pytest.FixtureRequest) -> None:
    """A kernel test has namespaces to make, or ends here."""
    if request.node.get_closest_marker("kernel") is None:
        return
    try:
        require_namespaces()
    except LabError as refusal:
        missing(str(refusal))
