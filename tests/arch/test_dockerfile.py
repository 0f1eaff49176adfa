"""The Dockerfile agrees with the package, and with what the tests' image is made from."""

from __future__ import annotations

import configparser
from pathlib import Path

import yaml
from testbed.agent_image import NOT_COPIED, TAG
from testbed.dockerfile import Copy, Entrypoint, Env, Run, Stage, parse

from netpol.dataplane.tool import PACKAGES

ROOT = Path(__file__).parents[2]
BUILD, IMAGE = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def commands(stage: Stage) -> str:
    return "\n".join(step.command for step in stage.steps if isinstance(step, Run))


def from_context() -> set[str]:
    copies = (step for stage in (BUILD, IMAGE) for step in stage.steps if isinstance(step, Copy) and step.stage is None)
    return {source for copy in copies for source in copy.sources}


def test_both_stages_have_the_same_interpreter() -> None:
    assert BUILD.image == IMAGE.image
    assert "python3" in commands(IMAGE).split()


def test_the_image_has_the_packages_of_every_tool() -> None:
    assert set(PACKAGES.values()) <= set(commands(IMAGE).split())


def test_only_what_is_copied_goes_to_the_builder() -> None:
    assert IGNORED[0] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == {source.split("/")[0] for source in from_context()}
    assert [source for source in from_context() if not (ROOT / source).exists()] == []


def test_the_tests_image_leaves_out_what_the_builder_does_not_get() -> None:
    assert [f"**/{name}" for name in NOT_COPIED] == [line for line in IGNORED[1:] if not line.startswith("!")]


def test_every_package_is_copied_and_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = {line.rstrip("*") for line in setup["options.packages.find"]["include"].split()}
    assert packages <= from_context()


def test_the_environment_is_taken_over_and_its_command_found() -> None:
    (taken,) = (step for step in IMAGE.steps if isinstance(step, Copy))
    assert taken == Copy((taken.target,), taken.target, stage=BUILD.name)
    (environment,) = (dict(step.variables) for step in IMAGE.steps if isinstance(step, Env))
    assert environment["PATH"].split(":")[0] == f"{taken.target}/bin"
    assert f"python3 -m venv {taken.target}" in commands(BUILD)


def test_the_image_takes_arguments_as_they_are() -> None:
    assert IMAGE.steps[-1] == Entrypoint(("netpol",))


def test_the_tests_image_has_the_name_that_the_manifests_use() -> None:
    (firewall,) = (
        each
        for each in yaml.safe_load_all((ROOT / "manifests/netpol-firewall.yaml").read_text(encoding="utf-8"))
        if each["kind"] == "DaemonSet"
    )
    assert firewall["spec"]["template"]["spec"]["containers"][0]["image"] == TAG
