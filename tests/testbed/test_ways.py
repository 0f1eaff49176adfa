"""A root file system gets this machine's ways to its packages, and only copies of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed import ways
from testbed.ways import Ways, debian_mirrors, pip_settings

TARGETS = """\
http://mirror.example/debian/ trixie main Debian
http://mirror.example/debian/ trixie-updates main Debian
http://mirror.example/security/ trixie-security main Debian
http://mirror.example/debian/ trixie main Debian
http://other.example/ nodistro main Somebody
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Certificates of this machine."""
    bundle = tmp_path / "certificates.pem"
    bundle.write_text("ours")
    return bundle


@pytest.fixture
def root(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root file system on a machine that reaches its packages in a way of its own."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "x.whl").write_text("x")
    found = {"cert": str(bundle), "find-links": str(wheels), "default-timeout": "180"}
    monkeypatch.setattr(ways, "pip_settings", lambda: found)
    monkeypatch.setattr(ways, "_output", lambda *_: TARGETS)
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    (tmp_path / "root/run").mkdir(parents=True)
    return tmp_path / "root"


def test_settings_that_name_files_name_copies(root: Path) -> None:
    environment = Ways(root, "bookworm").environment()
    assert environment["PIP_DEFAULT_TIMEOUT"] == "180"
    assert environment["https_proxy"] == "http://proxy.example"
    assert (root / environment["PIP_CERT"].lstrip("/")).read_text() == "ours"
    assert (root / environment["PIP_FIND_LINKS"].lstrip("/") / "x.whl").read_text() == "x"


def test_what_a_package_writes_there_is_not_written_on_this_machine(root: Path, bundle: Path) -> None:
    copy = root / Ways(root, "bookworm").environment()["PIP_CERT"].lstrip("/")
    assert not copy.is_symlink()
    copy.write_text("a package's own")
    assert bundle.read_text() == "ours"


def test_apt_is_led_to_the_mirrors_of_the_images_suite(root: Path) -> None:
    configuration = root / Ways(root, "bookworm").environment()["APT_CONFIG"].lstrip("/")
    assert 'sourcelist "/run/machine/sources.list"' in configuration.read_text()
    assert (root / "run/machine/sources.list").read_text().splitlines() == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://mirror.example/security/ bookworm-security main",
    ]


def test_names_are_found_as_on_this_machine(root: Path) -> None:
    copy = Ways(root, "bookworm").resolver()
    assert copy.read_bytes() == Path("/etc/resolv.conf").read_bytes()
    assert copy.is_relative_to(root)


def test_without_apt_there_is_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_output", lambda *_: "")
    assert debian_mirrors("bookworm") == ()


def test_pips_settings_come_from_its_files_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "global.index-url='https://packages.example/simple'\n:env:.cert='/x.pem'\ninstall.user='true'\n"
    monkeypatch.setattr(ways, "_output", lambda *_: listing)
    assert pip_settings() == {"index-url": "https://packages.example/simple", "cert": "/x.pem"}
