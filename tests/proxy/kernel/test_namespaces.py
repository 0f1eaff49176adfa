"""Other namespaces are found once each, and a thread of its own is in them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_network import private_network

from proxy.kernel import namespaces
from proxy.kernel.namespaces import reachable_namespaces, visit

pytestmark = pytest.mark.kernel

OWN = Path("/proc/thread-self/ns/net")


@contextmanager
def sleeping(count: int = 1) -> Iterator[list[Path]]:
    """Processes in a network namespace that they share."""
    with private_network():
        processes = [subprocess.Popen(["sleep", "60"]) for _ in range(count)]
    try:
        yield [Path(f"/proc/{each.pid}/ns/net") for each in processes]
    finally:
        for each in processes:
            each.kill()
            each.wait()


def test_each_is_found_once_and_ones_own_is_not() -> None:
    with sleeping(2) as (first, second), sleeping() as (third,):
        found = [path.stat().st_ino for path in reachable_namespaces()]
        assert first.stat().st_ino == second.stat().st_ino
        assert [found.count(path.stat().st_ino) for path in (first, third)] == [1, 1]
        assert OWN.stat().st_ino not in found


def test_ones_own_is_the_threads() -> None:
    with sleeping() as (other,), private_network():
        found = [path.stat().st_ino for path in reachable_namespaces()]
        assert other.stat().st_ino in found
        assert OWN.stat().st_ino not in found


def test_a_name_without_a_namespace_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "_NAMED", tmp_path)
    (tmp_path / "left-over").touch()
    (tmp_path / "broken").symlink_to("/nowhere")
    assert not [path for path in reachable_namespaces() if tmp_path in path.parents]


def test_work_is_done_in_each_and_this_thread_stays() -> None:
    before = OWN.stat().st_ino
    with sleeping() as (first,), sleeping() as (second,):
        wanted = [(path, path.stat().st_ino) for path in (first, second)]
        gone = Path("/proc/999999999/ns/net")
        assert visit([first, gone, Path("/dev/null"), second], lambda path: (path, OWN.stat().st_ino)) == wanted
    assert OWN.stat().st_ino == before


def test_what_the_work_raises_is_raised() -> None:
    def fail(_: Path) -> None:
        raise ValueError("in there")

    with sleeping() as (first,), pytest.raises(ValueError, match="in there"):
        visit([first], fail)
