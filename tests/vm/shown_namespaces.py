"""Network namespaces of pods, where a container runtime puts them for others to find."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from vm.service_lab import ServiceLab

PLACE = Path("/run/netns")
MS_BIND, MNT_DETACH = 4096, 2

_libc = ctypes.CDLL(None, use_errno=True)


class ShownNamespaces:
    """The namespaces of these pods are files of /run/netns inside the `with`."""

    def __init__(self, lab: ServiceLab, pods: Iterable[str]) -> None:
        self._lab = lab
        self._pods = tuple(pods)

    def show(self, pod: str) -> None:
        """The pod's namespace can be found."""
        path = _path(pod)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        source = f"/proc/self/fd/{self._lab.lab.namespace(pod).descriptor}"
        assert _libc.mount(source.encode(), bytes(path), None, MS_BIND, None) == 0

    def hide(self, pod: str) -> None:
        """The pod's namespace cannot be found any more."""
        path = _path(pod)
        if path.exists():
            _libc.umount2(bytes(path), MNT_DETACH)
            path.unlink()

    @contextmanager
    def without(self, pod: str) -> Iterator[None]:
        """The pod's namespace cannot be found inside the `with`."""
        self.hide(pod)
        try:
            yield
        finally:
            self.show(pod)

    def __enter__(self) -> Self:
        for pod in self._pods:
            self.show(pod)
        return self

    def __exit__(self, *_: object) -> None:
        for pod in self._pods:
            self.hide(pod)


def _path(pod: str) -> Path:
    return PLACE / pod.replace("/", "-")
