"""The images that the levels with a cluster need, made before a guest is booted that could not make them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from private_network import missing
from testbed.agent_image import NoImage, make_image
from testbed.binaries import directory
from testbed.pod_images import pod_images
from vm.guest import IN_GUEST

NO_IMAGE = "NETPOL_NO_IMAGE"
"""The environment variable that tells a guest why there is no image of this tree."""


def own_image_file() -> Path:
    """The image of this tree as it is now; the test ends here where there is none.

    A guest has no way to the packages that an image is made of: there it is the one made before the boot.
    """
    image = directory() / "images" / "netpol.tar"
    lack = os.environ.get(NO_IMAGE) if IN_GUEST in os.environ else _make(image)
    if lack is not None:
        missing(lack)
    return image


def made_for_a_guest() -> Mapping[str, str]:
    """Environment variables for a guest; every image is there that can be made."""
    # What is missing for the pods' images, each test says itself.
    with suppress(pytest.skip.Exception, pytest.fail.Exception):
        pod_images()
    lack = _make(directory() / "images" / "netpol.tar")
    return {} if lack is None else {NO_IMAGE: lack}


def _make(image: Path) -> str | None:
    """What stood in the way, if anything."""
    try:
        make_image(image)
    except NoImage as refusal:
        return str(refusal)
    return None
