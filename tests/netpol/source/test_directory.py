from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import manifest_directory
import pytest
from waiting import wait_until

import netpol.source.directory
from netpol.bus import Bus, Subscription
from netpol.errors import InputError
from netpol.model.facts import FIREWALL_KINDS, Key, Kind
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.directory import PART, DirectoryWatcher, Pace, signature
from netpol.source.manifests import Loaded, load
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n"
ODD_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: odd, namespace: x}
spec: {podSelector: {}, ingress: [{from: [{}]}]}
"""
ODD = Key(Kind.NETWORK_POLICY, "x", "odd")


@dataclass
class World:
    """A directory, and all that its watcher tells."""

    path: Path
    bus: Bus = field(default_factory=Bus)
    metrics: Metrics = field(default_factory=Metrics)
    notices: dict[Key, tuple[Notice, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.news: Subscription = self.bus.subscribe(set(Kind), Trigger())
        self.watcher = self.watch(Pace(period=0.01, settle=0.0, retry=3600.0))

    def watch(self, pace: Pace, kinds: Collection[Kind] = FIREWALL_KINDS) -> DirectoryWatcher:
        return DirectoryWatcher(self.path, PolicyOptions(), self.bus, self, self.metrics, self, pace, kinds=kinds)

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...]) -> None:
        assert uid == ""
        self.notices[key] = notices

    def fail(self, part: str, reason: str) -> None:
        self.failures[part] = reason

    def recover(self, part: str) -> None:
        self.failures.pop(part, None)

    def write(self, name: str, text: str) -> None:
        """As an editor saves it: a new file in the old one's place, which no look takes for the old one."""
        (self.path / ".new").write_text(text)
        (self.path / ".new").rename(self.path / name)

    def read(self) -> Snapshot:
        """What a first look finds."""
        self.watcher._take(self.watcher._read())
        self.news.take()
        return load(self.path, PolicyOptions()).snapshot

    def changes(self) -> dict[str, bool]:
        """What the bus heard since the last call; whether the object is there now."""
        return {str(fact.key): fact.value is not None for fact in self.news.take()}


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    directory = tmp_path / "manifests"
    directory.mkdir()
    manifest_directory.write(directory)
    return World(directory)


@pytest.fixture(name="started")
def _started(world: World) -> Iterator[World]:
    world.watcher.start()
    yield world
    assert world.watcher.stop()


# --- what the bus has


def test_the_bus_has_every_kind_in_sync_once_it_is_started(started: World) -> None:
    snapshot = load(started.path, PolicyOptions()).snapshot
    assert started.bus.in_sync(FIREWALL_KINDS)
    assert not any(started.bus.in_sync([kind]) for kind in Kind if kind not in FIREWALL_KINDS)
    facts = {fact.key: fact.value for fact in started.news.take()}
    assert facts == {
        **{Key(Kind.POD, *name): each for name, each in snapshot.pods.items()},
        **{Key(Kind.NAMESPACE, "", name): each for name, each in snapshot.namespaces.items()},
        **{Key(Kind.NODE, "", name): each for name, each in snapshot.nodes.items()},
        **{Key(Kind.NETWORK_POLICY, *name): each for name, each in snapshot.policies.items()},
    }


def test_what_it_said_first_is_returned(world: World) -> None:
    snapshot = world.watcher.start()
    assert world.watcher.stop()
    assert snapshot == load(world.path, PolicyOptions()).snapshot


def test_a_change_is_followed(started: World) -> None:
    started.news.take()
    started.write("more.yaml", NAMESPACE.format("late"))
    wait_until(lambda: started.bus.count(Kind.NAMESPACE) == 3)
    assert started.changes() == {"Namespace late": True}


def test_only_what_changed_is_news(world: World) -> None:
    world.read()
    world.write("manifests.yaml", manifest_directory.GUESTBOOK + "# a comment more\n")
    world.watcher.look()
    assert world.changes() == {}
    world.write("manifests.yaml", manifest_directory.GUESTBOOK.replace("team: ops", "team: dev"))
    world.watcher.look()
    assert world.changes() == {"Namespace ops": True}
    world.write("more.yaml", NAMESPACE.format("late"))
    world.watcher.look()
    (world.path / "more.yaml").unlink()
    world.watcher.look()
    assert world.changes() == {"Namespace late": False}


def test_nothing_is_read_while_nothing_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.read()
    readings: list[Path] = []

    def counting(path: Path, options: PolicyOptions, kinds: Collection[Kind]) -> Loaded:
        readings.append(path)
        return load(path, options, kinds)

    monkeypatch.setattr(netpol.source.directory, "load", counting)
    (world.path / "notes.txt").write_text("no manifest")
    for _ in range(3):
        world.watcher.look()
    assert readings == []
    world.write("more.yml", NAMESPACE.format("late"))
    world.watcher.look()
    assert readings == [world.path]


def test_one_file_is_followed_too(tmp_path: Path) -> None:
    manifest_directory.write(tmp_path)
    world = World(tmp_path / "manifests.yaml")
    world.read()
    (tmp_path / "manifests.yaml").write_text(NAMESPACE.format("alone"))
    world.watcher.look()
    assert world.bus.count(Kind.NAMESPACE) == 1
    assert world.bus.count(Kind.POD) == 0


# --- moments in which it cannot be understood


def broken(world: World) -> None:
    world.write("more.yaml", "kind: [")


def half_written(world: World) -> None:
    text = manifest_directory.GUESTBOOK
    world.write("manifests.yaml", text[: text.index("podIP") + 3])


def empty(world: World) -> None:
    (world.path / "manifests.yaml").unlink()


def gone(world: World) -> None:
    shutil.rmtree(world.path)


def emptied(world: World) -> None:
    world.write("manifests.yaml", "")


BAD_MOMENTS = (broken, half_written, empty, gone, emptied)


@pytest.mark.parametrize("happens", BAD_MOMENTS, ids=lambda each: each.__name__)
def test_a_bad_moment_keeps_what_was_known_and_is_told(world: World, happens: Callable[[World], None]) -> None:
    before = world.read()
    happens(world)
    world.watcher.look()
    assert world.changes() == {}
    assert world.bus.count(Kind.POD) == len(before.pods)
    assert world.failures.keys() == {PART}
    assert world.metrics.registry.get_sample_value("netpol_watch_connected", {"kind": "Pod"}) == 0


@pytest.mark.parametrize("happens", BAD_MOMENTS, ids=lambda each: each.__name__)
def test_it_recovers_alone(world: World, happens: Callable[[World], None]) -> None:
    world.read()
    happens(world)
    world.watcher.look()
    shutil.rmtree(world.path, ignore_errors=True)
    world.path.mkdir()
    world.write("manifests.yaml", manifest_directory.GUESTBOOK + "---\n" + NAMESPACE.format("late"))
    world.watcher.look()
    assert world.changes() == {"Namespace late": True}
    assert world.failures == {}
    assert world.metrics.registry.get_sample_value("netpol_watch_connected", {"kind": "Pod"}) == 1


@pytest.mark.parametrize("happens", BAD_MOMENTS, ids=lambda each: each.__name__)
def test_at_the_start_it_is_the_persons_mistake(world: World, happens: Callable[[World], None]) -> None:
    happens(world)
    with pytest.raises(InputError):
        world.watcher.start()
    assert not world.bus.in_sync({Kind.POD})
    assert world.watcher.stop()


def test_one_problem_is_told_once(world: World) -> None:
    def failures() -> float | None:
        labels = {"kind": "manifests", "reason": "invalid"}
        return world.metrics.registry.get_sample_value("netpol_watch_failures_total", labels)

    world.read()
    broken(world)
    for _ in range(3):
        world.watcher.look()
    assert failures() == 1
    world.write("zz.yaml", NAMESPACE.format("beside"))
    world.watcher.look()
    assert failures() == 1
    half_written(world)
    world.watcher.look()
    assert failures() == 2


def test_what_could_not_be_read_is_tried_again_though_nothing_is_seen_to_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails for a moment."""

    def failing(path: Path, _options: PolicyOptions, _kinds: object) -> Loaded:
        raise InputError([f"{path}: cannot be read: Input/output error"])

    def mended() -> bool:
        world.watcher.look()
        return not world.failures

    world.watcher = world.watch(Pace(settle=0.0, retry=0.0))
    world.read()
    world.write("more.yaml", NAMESPACE.format("late"))
    with monkeypatch.context() as moment:
        moment.setattr(netpol.source.directory, "load", failing)
        world.watcher.look()
    assert world.failures == {PART: f"{world.path}: cannot be read: Input/output error"}
    wait_until(mended)
    assert world.changes() == {"Namespace late": True}


def test_an_error_that_nobody_foresaw_does_not_end_it(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_path: Path, _options: PolicyOptions, _kinds: object) -> Loaded:
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as moment:
        moment.setattr(netpol.source.directory, "load", failing)
        started.write("more.yaml", NAMESPACE.format("late"))
        wait_until(lambda: started.failures)
    assert started.failures == {PART: "a mistake of ours"}
    started.write("more.yaml", NAMESPACE.format("later"))
    wait_until(lambda: not started.failures)
    assert started.bus.count(Kind.NAMESPACE) == 3


def test_after_an_error_that_nobody_foresaw_it_is_read_again_though_nothing_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_path: Path, _options: PolicyOptions, _kinds: object) -> Loaded:
        raise ZeroDivisionError("a mistake of ours")

    world.watcher = world.watch(Pace(period=0.01, settle=0.0, retry=0.0))
    world.watcher.start()
    with monkeypatch.context() as moment:
        moment.setattr(netpol.source.directory, "load", failing)
        world.write("more.yaml", NAMESPACE.format("late"))
        wait_until(lambda: world.failures)
    wait_until(lambda: not world.failures)
    assert world.bus.count(Kind.NAMESPACE) == 3
    assert world.watcher.stop()


# --- changes under way


def test_a_directory_that_changes_while_it_is_read_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else half of the files would be of before and half of after."""

    def changing(path: Path, options: PolicyOptions, kinds: Collection[Kind]) -> Loaded:
        loaded = load(path, options, kinds)
        if not (world.path / "zz.yaml").exists():
            world.write("zz.yaml", NAMESPACE.format("during"))
        return loaded

    world.read()
    monkeypatch.setattr(netpol.source.directory, "load", changing)
    world.write("more.yaml", NAMESPACE.format("late"))
    world.watcher.look()
    assert world.changes() == {"Namespace late": True, "Namespace during": True}


def test_a_directory_that_never_rests_is_read_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(path: Path) -> object:
        world.write("more.yaml", NAMESPACE.format("late"))
        return signature(path)

    monkeypatch.setattr(netpol.source.directory, "signature", restless)
    world.watcher.look()
    assert world.bus.count(Kind.NAMESPACE) == 3


def test_the_files_of_a_configmap_are_exchanged_by_one_link(tmp_path: Path) -> None:
    """As kubelet does it: a link to a directory of that moment, and links through it."""
    for moment, name in (("..1", "early"), ("..2", "later")):
        (tmp_path / moment).mkdir()
        (tmp_path / moment / "namespace.yaml").write_text(NAMESPACE.format(name))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "namespace.yaml").symlink_to("..data/namespace.yaml")
    world = World(tmp_path)
    assert world.read().namespaces.keys() == {"early"}
    (tmp_path / "..next").symlink_to("..2")
    (tmp_path / "..next").rename(tmp_path / "..data")
    world.watcher.look()
    assert world.changes() == {"Namespace early": False, "Namespace later": True}


def test_a_link_that_leads_nowhere_hides_no_other_change(world: World) -> None:
    (world.path / "dangling.yaml").symlink_to("nowhere")
    before = signature(world.path)
    world.write("more.yaml", NAMESPACE.format("late"))
    assert before
    assert signature(world.path) != before


@pytest.mark.parametrize("same", ["size", "time"])
def test_a_change_shows_though_size_or_time_stay_the_same(world: World, same: str) -> None:
    file = world.path / "manifests.yaml"
    before, found = signature(world.path), file.stat()
    text = file.read_text()
    file.write_text(text.replace("web", "wab") if same == "size" else text + "\n")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + (1 if same == "size" else 0)))
    assert signature(world.path) != before


def test_looking_takes_a_hundredth_of_the_time_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.25, 20.0, 20.001])
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    world.read()
    world.watcher.look()
    assert world.watcher._pause == pytest.approx(25)
    world.watcher.look()
    assert world.watcher._pause == pytest.approx(0.1)


# --- notices


def test_m7_what_is_not_understood_is_noticed_and_forgotten_when_it_is_mended(world: World) -> None:
    world.write("odd.yaml", ODD_POLICY)
    world.read()
    assert [str(notice) for notice in world.notices[ODD]]
    assert world.notices.keys() == {ODD}
    world.write("odd.yaml", ODD_POLICY.replace("from: [{}]", ""))
    world.watcher.look()
    assert world.notices == {ODD: ()}
    world.notices.clear()
    world.write("more.yaml", NAMESPACE.format("late"))
    world.watcher.look()
    assert world.notices == {}


def test_m7_an_object_that_is_gone_has_no_notices(world: World) -> None:
    world.write("odd.yaml", ODD_POLICY)
    world.read()
    (world.path / "odd.yaml").unlink()
    world.watcher.look()
    assert world.notices == {ODD: ()}
