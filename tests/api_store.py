"""What an API server has: objects in versions, the history of their changes, and who follows it."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Manifest = Mapping[str, Any]
Name = tuple[str, str]

PLURALS = {
    "Pod": "pods",
    "Namespace": "namespaces",
    "Node": "nodes",
    "NetworkPolicy": "networkpolicies",
    "Service": "services",
    "Endpoints": "endpoints",
    "EndpointSlice": "endpointslices",
}
KINDS = {plural: kind for kind, plural in PLURALS.items()}
NAME_LABEL = "kubernetes.io/metadata.name"


class Age(enum.Enum):
    """Which of the servers that policies are read from it behaves like."""

    OLD = "1.15"
    """No bookmarks, podIPs, name label and EndpointSlices; extensions/v1beta1 is served beside networking.k8s.io/v1."""
    NEW = "1.34"


class Gone(Exception):
    """The version, or the rest of the list, is not kept any more."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A change: its version, and the moment just before the first watcher was told, as CLOCK_MONOTONIC has it."""

    version: int
    sent_ns: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list."""

    items: list[bytes]
    version: int
    following: str


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the history; the object has neither kind nor apiVersion, which depend on who asks."""

    version: int
    plural: str
    type: str
    encoded: bytes


@dataclass(eq=False, slots=True)
class Follower:
    """A watch under way; `tell` writes to its connection, under the store's lock, and `cut` cuts it."""

    plural: str
    api_version: str
    tell: Callable[[bytes], None]
    cut: Callable[[], None]
    ended: threading.Event = field(default_factory=threading.Event)

    def take(self, change: Change) -> None:
        """The watcher is told of the change."""
        start = f'{{"kind":"{KINDS[self.plural]}","apiVersion":"{self.api_version}",'.encode()
        self.tell(b'{"type":"%s","object":%s%s}\n' % (change.type.encode(), start, change.encoded[1:]))


class Store:
    """The objects of every kind; every change is told to all who follow, before the call returns."""

    def __init__(self, age: Age = Age.NEW) -> None:
        self.age = age
        self.changed = threading.Condition(threading.RLock())
        self.version = 1
        self._objects: dict[str, dict[Name, bytes]] = {plural: {} for plural in KINDS}
        self._history: list[Change] = []
        self._compacted = 0
        self._followers: list[Follower] = []
        self._lists: dict[str, tuple[int, list[bytes]]] = {}
        self._tokens = 0

    def put(self, manifest: Manifest) -> Sent:
        """The object is as the manifest has it."""
        plural, name = PLURALS[manifest["kind"]], _name(manifest)
        with self.changed:
            self.version += 1
            encoded = self._encode(manifest)
            known = name in self._objects[plural]
            self._objects[plural][name] = encoded
            return self._tell(Change(self.version, plural, "MODIFIED" if known else "ADDED", encoded))

    def delete(self, kind: str, namespace: str, name: str) -> Sent:
        """There is no such object any more; KeyError where there was none."""
        plural = PLURALS[kind]
        with self.changed:
            last = msgspec.json.decode(self._objects[plural].pop((namespace, name)))
            self.version += 1
            last["metadata"]["resourceVersion"] = str(self.version)
            return self._tell(Change(self.version, plural, "DELETED", msgspec.json.encode(last)))

    def load(self, manifests: Iterable[Manifest]) -> None:
        """The objects are there, and nobody is told: for what exists before anybody looks."""
        with self.changed:
            for manifest in manifests:
                self.version += 1
                self._objects[PLURALS[manifest["kind"]]][_name(manifest)] = self._encode(manifest)
            self.compact()

    def put_raw(self, plural: str, namespace: str, name: str, encoded: bytes) -> Sent:
        """An object of these bytes, whatever they are; VERSION in them becomes its version."""
        with self.changed:
            self.version += 1
            encoded = encoded.replace(b"VERSION", str(self.version).encode())
            self._objects[plural][namespace, name] = encoded
            return self._tell(Change(self.version, plural, "ADDED", encoded))

    def restart_with(self, version: int, manifests: Iterable[Manifest] = ()) -> None:
        """Another server is here, at this version and with these objects; watches are not ended by it."""
        with self.changed:
            for objects in self._objects.values():
                objects.clear()
            self._history.clear()
            self._lists.clear()
            self._compacted = 0
            self.load(manifests)
            self.version = version
            self._compacted = 0

    def forget(self, kind: str) -> None:
        """No object of the kind is there, and nobody was told: a server that is not ready."""
        with self.changed:
            self._objects[PLURALS[kind]].clear()

    def compact(self) -> None:
        """History ends here: older versions, and the rest of lists begun, are gone."""
        with self.changed:
            self._history.clear()
            self._lists.clear()
            self._compacted = self.version

    def page(self, plural: str, limit: int, following: str, name: str = "") -> Listed:
        """The page after `following`, of at most `limit` objects where it is not 0; Gone where that is not kept.

        With `name`, only objects that are called so.
        """
        with self.changed:
            if not following:
                objects = self._objects[plural].items()
                version, rest = self.version, [each for (_, own), each in objects if name in ("", own)]
            elif following in self._lists:
                version, rest = self._lists.pop(following)
            else:
                raise Gone
            items, rest = (rest[:limit], rest[limit:]) if limit else (rest, [])
            if not rest:
                return Listed(items, version, "")
            self._tokens += 1
            token = f"{version}.{self._tokens}"
            self._lists[token] = version, rest
            return Listed(items, version, token)

    def follow(self, follower: Follower, since: int) -> None:
        """The follower has heard of all that changed after `since` and will hear of more; Gone where that is lost."""
        with self.changed:
            if since < self._compacted:
                raise Gone
            for change in self._history:
                if change.plural == follower.plural and change.version > since:
                    follower.take(change)
            self._followers.append(follower)
            self.changed.notify_all()

    def leave(self, follower: Follower) -> None:
        """The follower hears no more."""
        with self.changed:
            if follower in self._followers:
                self._followers.remove(follower)
                self.changed.notify_all()

    def followers(self, plural: str) -> list[Follower]:
        """Who follows the kind."""
        with self.changed:
            return [follower for follower in self._followers if follower.plural == plural]

    def bookmark(self, plural: str, version: int | None = None) -> None:
        """Who follows the kind knows which version it is."""
        encoded = b'{"metadata":{"resourceVersion":"%d"}}' % (self.version if version is None else version)
        with self.changed:
            for follower in self.followers(plural):
                follower.take(Change(self.version, plural, "BOOKMARK", encoded))

    def _tell(self, change: Change) -> Sent:
        self._history.append(change)
        sent = Sent(change.version, time.monotonic_ns())
        for follower in self.followers(change.plural):
            follower.take(change)
        return sent

    def _encode(self, manifest: Manifest) -> bytes:
        """The object in this version, as a server of this age has it; without kind and apiVersion."""
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        fields = {key: value for key, value in manifest.items() if key not in ("kind", "apiVersion")}
        if self.age is Age.NEW and manifest["kind"] == "Namespace":
            metadata["labels"] = {**metadata.get("labels", {}), NAME_LABEL: metadata["name"]}
        if self.age is Age.OLD and "podIPs" in fields.get("status", {}):
            fields["status"] = {key: value for key, value in fields["status"].items() if key != "podIPs"}
        return msgspec.json.encode({**fields, "metadata": metadata})


def _name(manifest: Manifest) -> Name:
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]
