"""The agent with firewall and service proxy on node one of a lab, and what its audit log says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import builders
from vm.directory_agent import DirectoryAgent
from vm.service_lab import ServiceLab
from waiting import wait_until
from world_manifests import Manifest, manifests

from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy


class BothControllers(DirectoryAgent):
    """Both controllers in one process; the audit log is in a file of its own."""

    def __init__(self, lab: ServiceLab, directory: Path, *flags: str) -> None:
        self._audit_log = directory / "audit.log"
        own = f"--audit-log-path={self._audit_log}", "--audit-window=100ms"
        super().__init__(lab, directory, "--run-firewall", *own, *flags)

    def records(self) -> list[dict[str, Any]]:
        """The audit log so far."""
        text = self._audit_log.read_text(encoding="utf-8") if self._audit_log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def until_recorded(self, after: int, **fields: object) -> dict[str, Any]:
        """The first record with these fields behind so many others, once there is one."""

        def found() -> dict[str, Any] | None:
            return next((each for each in self.records()[after:] if each.items() >= fields.items()), None)

        wait_until(found, f"a record with {fields}")
        record = found()
        assert record is not None
        return record


def told(*objects: Namespace | Node | Pod | Policy) -> list[Manifest]:
    """The manifests that say so."""
    return manifests(builders.world(*objects))
