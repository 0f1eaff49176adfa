"""The ways by which this machine reaches its packages, given to a root file system as copies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_TARGETS = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)"
_PROXY = re.compile(r"(?:https?|ftp|no)_proxy", re.IGNORECASE)
_SETTING = re.compile(r"^(?:global|:env:)\.(?P<name>[\w-]+)='(?P<value>.*)'$", re.MULTILINE)
_INSIDE = "/run/machine"


def debian_mirrors(suite: str) -> tuple[tuple[str, str, str], ...]:
    """Address, codename and component of each of Debian's repositories that apt knows here, for `suite`."""
    listing = _output("apt-get", "indextargets", "--format", _TARGETS, "Created-By: Packages")
    rows = [line.split() for line in listing.splitlines() if line.endswith(" Debian")]
    return tuple(
        dict.fromkeys(
            (uri, codename.replace(codename.partition("-")[0], suite), part) for uri, codename, part, _ in rows
        )
    )


def pip_settings() -> dict[str, str]:
    """Pip's settings of this machine by their names, its files' and the environment's alike; none without pip."""
    return {
        found["name"]: found["value"]
        for found in _SETTING.finditer(_output(sys.executable, "-m", "pip", "config", "list"))
    }


class Ways:
    """The copies within one root file system, below a directory of it that is not kept.

    Copies, because a package's own scripts write where they please as root: what was mounted
    there of this machine, they would write on this machine.
    """

    def __init__(self, root: Path, suite: str) -> None:
        self._outside = root / _INSIDE.lstrip("/")
        self._outside.mkdir()
        self._suite = suite

    def resolver(self) -> Path:
        """How names are found."""
        return Path(shutil.copy(Path("/etc/resolv.conf").resolve(), self._outside))

    def environment(self) -> dict[str, str]:
        """The variables that lead apt and pip on these ways, and through proxies."""
        sources = (f"deb {uri} {codename} {part}\n" for uri, codename, part in debian_mirrors(self._suite))
        (self._outside / "sources.list").write_text("".join(sources), encoding="utf-8")
        (self._outside / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{_INSIDE}/sources.list";\nDir::Etc::sourceparts "-";\n', encoding="utf-8"
        )
        proxies = {name: value for name, value in os.environ.items() if _PROXY.fullmatch(name)}
        settings = {
            f"PIP_{name.upper().replace('-', '_')}": self._copied(value) for name, value in pip_settings().items()
        }
        return {**proxies, **settings, "APT_CONFIG": f"{_INSIDE}/apt.conf"}

    def _copied(self, value: str) -> str:
        """A setting that names a file or directory of this machine names its copy; another stays what it is."""
        place = Path(value)
        if not place.is_absolute() or not place.exists():
            return value
        copy = self._outside / value.strip("/").replace("/", "-")
        if place.is_dir():
            shutil.copytree(place, copy, dirs_exist_ok=True)
        else:
            shutil.copy(place, copy)
        return f"{_INSIDE}/{copy.name}"


def _output(*arguments: str) -> str:
    """What a program that succeeds prints; nothing where it fails."""
    return subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", check=False
    ).stdout
