"""kubectl, as a person types it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from testbed.binaries import program


class KubectlFailed(AssertionError):
    """kubectl said no; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a kubeconfig; `prefix` runs it elsewhere, as in the network of a node."""

    kubeconfig: Path
    prefix: Sequence[str] = ()

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        """What it wrote to standard output, with `given` on its standard input; KubectlFailed where it failed."""
        answer = self.attempt(*arguments, given=given)
        if answer.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {answer.stderr}{answer.stdout}")
        return answer.stdout

    def attempt(self, *arguments: str, given: str | None = None) -> CompletedProcess[str]:
        """What came of it."""
        command, environment = self._command(arguments), self._environment()
        return subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """It is under way."""
        command, environment = self._command(arguments), self._environment()
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [*self.prefix, str(program("kubectl")), *arguments]

    def _environment(self) -> dict[str, str]:
        # HOME would be where it keeps what it has discovered, across servers that come and go.
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)}
