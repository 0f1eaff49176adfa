"""Real API servers, old and current, each over an etcd of its own on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.api_client import ApiClient
from testbed.binaries import OLD_API_SERVER, program
from testbed.etcd import HOST, Etcd, free_ports
from testbed.processes import Process

ADMIN, STRANGER = "admin", "stranger"
"""Who may do everything, and who may do nothing until a role is bound to the user of this name."""

TOKENS = {ADMIN: ("token-of-admin", "system:masters"), STRANGER: ("token-of-stranger", "")}
"""The token of each user, and the group that they are in."""

READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Release:
    """A kube-apiserver, and what it is started with beyond what every release is."""

    name: str
    program: str
    health: str
    flags: tuple[str, ...]


OLD = Release("old", OLD_API_SERVER, "/healthz", ("--insecure-port=0",))
"""1.15: the last that serves NetworkPolicies of extensions/v1beta1 unasked."""

CURRENT = Release("current", "kube-apiserver", "/readyz", ("--service-account-issuer=https://kubernetes.default.svc",))

RELEASES = (OLD, CURRENT)


class ApiServer:
    """An API server with role-based access control and no controllers; its address outlives its restarts.

    No controllers means: a deleted namespace stays until its finalizers are emptied, a bound pod until it is deleted
    with a grace period of 0.
    """

    def __init__(self, release: Release, directory: Path) -> None:
        self.release = release
        self._directory = directory
        self._program = program(release.program)
        (self._port,) = free_ports(1)
        self.url = f"https://{HOST}:{self._port}"
        self.etcd = Etcd(directory)
        self._process: Process | None = None

    @property
    def authority(self) -> Path:
        """The certificate to trust: the server's own."""
        return self._directory / "certs" / "apiserver.crt"

    def client(self, user: str = ADMIN) -> ApiClient:
        """A client that asks as `user`."""
        return ApiClient(self.url, TOKENS[user][0], self.authority)

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A file with which clients reach the server as `user`."""
        path = self._directory / f"kubeconfig-of-{user}"
        write_kubeconfig(path, self.url, TOKENS[user][0], self.authority)
        return path

    def start(self, flags: Sequence[str] = ()) -> None:
        """It serves; a flag given here takes the place of the same flag of the bed."""
        given = {flag.partition("=")[0] for flag in flags}
        command = [flag for flag in self._flags() if flag.partition("=")[0] not in given]
        log = self._directory / "kube-apiserver.log"
        self._process = Process(f"kube-apiserver {self.release.name}", [self._program, *command, *flags], log)
        client = self.client()
        self._process.until("healthy", lambda: client.text(self.release.health) == "ok", READY_SECONDS)
        # Made a moment after the server calls itself ready.
        self._process.until("namespace default", lambda: client.get("/api/v1/namespaces/default"))

    def stop(self) -> None:
        """It was asked to end and has; etcd goes on."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """It was killed: connections break where they are; etcd goes on."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self, flags: Sequence[str] = ()) -> None:
        """It was asked to end, and serves again."""
        self.stop()
        self.start(flags)

    def wipe(self) -> None:
        """It serves again, and every object that there was is gone: resource versions start anew."""
        self.stop()
        self.etcd.wipe()
        self.start()

    def _flags(self) -> list[str]:
        directory = self._directory
        return [
            f"--etcd-servers={self.etcd.url}",
            f"--bind-address={HOST}",
            f"--secure-port={self._port}",
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={directory / 'certs'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--token-auth-file={directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
            f"--service-account-key-file={directory / 'service-accounts.key'}",
            *self.release.flags,
            *(
                [f"--service-account-signing-key-file={directory / 'service-accounts.key'}"]
                if self.release is CURRENT
                else []
            ),
        ]

    def __enter__(self) -> Self:
        write_credentials(self._directory)
        try:
            self.etcd.start()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # No object needs a last word: the store goes with the directory.
        self.kill()
        self.etcd.stop()


def write_credentials(directory: Path) -> None:
    """`directory` has the file of tokens, and the key that service accounts are signed with."""
    lines = [f'{token},{user},{user},"{group}"\n' for user, (token, group) in TOKENS.items()]
    (directory / "tokens.csv").write_text("".join(lines))
    subprocess.run(
        ["openssl", "genrsa", "-out", directory / "service-accounts.key", "2048"], capture_output=True, check=True
    )


def write_kubeconfig(path: Path, url: str, token: str, authority: Path) -> None:
    """`path` lets a client reach the server at `url` with `token`."""
    cluster = {"server": url, "certificate-authority": str(authority)}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bed",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": "bed", "user": {"token": token}}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "bed"}}],
    }
    # JSON is YAML.
    path.write_text(json.dumps(configuration, indent=1))
