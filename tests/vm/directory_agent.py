"""The agent as a process on node one of a lab, where it serves the services of a directory of manifests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import builders
from testbed.running_agent import METRICS_PORT, STARTING_SECONDS, RunningAgent
from vm.forked_agent import ForkedProcess
from vm.service_lab import ServiceLab
from vm.service_manifests import NODE, endpoint, endpoint_slice, service
from world_manifests import Manifest, manifests

from netpol.model.networks import Family

TURN = "turn"
FIRST_TURN_PORT = 9100
TURN_ADDRESS = "10.1.0.199"
"""Of a pod that is not in the lab."""
LISTENING = "0A"
"""The state of a socket in /proc/net/tcp."""


class DirectoryAgent(RunningAgent):
    """`netpol run --run-service-proxy` on the lab's node one; it knows the lab's nodes, pods and their namespaces.

    What else there is, is put. Policies are enforced where a flag says `--run-firewall`. Stopped or killed, it leaves
    the kernel as it is.
    """

    def __init__(self, lab: ServiceLab, directory: Path, *flags: str) -> None:
        super().__init__(lab.node, directory / "log")
        self.lab = lab
        self.flags = flags
        self._source = directory / "manifests"
        self._source.mkdir()
        self._objects: dict[tuple[str, str, str], Manifest] = {}
        self._turn = 0
        self._given: tuple[str, ...] = ()
        pods = lab.lab.pods.values()
        places = [builders.namespace(name) for name in sorted({pod.namespace for pod in pods})]
        self._note(manifests(builders.world(*places, *lab.lab.nodes.values(), *pods)))
        self._of_the_lab = dict(self._objects)

    # --- what it is told

    def put(self, *objects: Manifest) -> None:
        """There are these objects, in place of those with the same names, and the kernel has all of it."""
        self._note(objects)
        self._tell()

    def only(self, *objects: Manifest) -> None:
        """There are these objects beside what is the lab's, and no others, and the kernel has all of it.

        Where that is so already it takes no time: what a test needs, it may state, whichever tests came before.
        """
        before, self._objects = self._objects, dict(self._of_the_lab)
        self._note(objects)
        if self._objects != before:
            self._tell()

    def say(self, *objects: Manifest) -> None:
        """There are these objects, and the kernel may not have them yet."""
        self._note(objects)
        self._write()

    def remove(self, *objects: Manifest) -> None:
        """There are no objects of these names, and the kernel has nothing of them but what drains."""
        for each in objects:
            self._objects.pop(_identity(each), None)
        self._tell()

    @contextmanager
    def having(self, *objects: Manifest) -> Iterator[None]:
        """There are these objects inside the `with`."""
        self.put(*objects)
        try:
            yield
        finally:
            self.remove(*objects)

    def manifest(self, kind: str, name: str) -> Manifest:
        """The object that there is, named `name` or `namespace/name`."""
        namespace, _, own = name.rpartition("/")
        return self._objects[kind, namespace, own]

    def slices(self, service: str, pods: Iterable[str] = (), ports: str = "8080/TCP") -> tuple[Manifest, ...]:
        """The service's slices of either family, with these pods of the lab, all of them ready."""
        found = [self.lab.lab.pods[name] for name in (pods or self.lab.web)]
        return tuple(
            endpoint_slice(
                f"{service}-{family.value}",
                service,
                *(endpoint(str(self.lab.endpoint(str(pod), family).address), pod.node) for pod in found),
                ports=ports,
            )
            for family in Family
        )

    def labelled(self, pod: str, labels: str, ports: str = "") -> Manifest:
        """The pod of the lab, with these labels and container ports."""
        found = self.lab.lab.pods[pod]
        (manifest,) = manifests(
            builders.world(builders.pod(pod, *map(str, found.addresses), labels=labels, ports=ports, node=found.node))
        )
        return manifest

    # --- the process

    def start(self, *flags: str) -> None:
        """It runs, with these flags beside its own, and the kernel has what there is."""
        self._write()
        self._given = flags
        firewall = [] if any(flag.startswith("--run-firewall") for flag in self.flags) else ["--run-firewall=false"]
        command = [
            "run",
            "--run-service-proxy",
            *firewall,
            f"--source={self._source}",
            f"--hostname-override={NODE}",
            "--iptables-variant=legacy",
            "--health-port=0",
            "--metrics-addr=127.0.0.1",
            f"--metrics-port={METRICS_PORT}",
            *self.flags,
            *flags,
        ]
        began = len(self.said)
        self._process = ForkedProcess(self.lab.node, command, self._log)
        if not firewall:
            self.until_said("kernel programmed", STARTING_SECONDS, after=began)
        self.until("services are programmed", self._has_taken_its_turn, STARTING_SECONDS)

    def restart(self, *flags: str) -> None:
        """It was asked to stop, and runs again, with these flags beside its own."""
        self.stop()
        self.start(*flags)

    def run_with(self, *flags: str) -> None:
        """It runs with these flags beside its own, restarted where it did so with others."""
        if self._process is None:
            self.start(*flags)
        elif flags != self._given:
            self.restart(*flags)

    def virtual_servers(self) -> str:
        """IPVS of the node, as `ipvsadm --save` writes it."""
        return self.lab.run("ipvsadm", "-S", "-n")

    # --- turns

    def _note(self, objects: Iterable[Manifest]) -> None:
        self._objects.update((_identity(each), each) for each in objects)

    def _tell(self) -> None:
        """The directory says what there is; where the agent runs, it is known to have taken all of it."""
        self._write()
        if self._process is None:
            return
        self.until("the kernel has what there is", self._has_taken_its_turn)
        if any(flag in {"--run-firewall", "--run-firewall=true"} for flag in self.flags):
            self.until_said(f" Pod changed name=default/{TURN}-{self._turn} ")

    def _write(self) -> None:
        """All of it at once.

        A health check's port comes after everything else of a change: a service that asks for nothing but that
        tells what the agent has done, and a pod of the node what its firewall has, whatever policies there are.
        """
        self._turn += 1
        turn = service(
            f"default/{TURN}",
            "10.96.255.254",
            ports="",
            type="LoadBalancer",
            externalTrafficPolicy="Local",
            healthCheckNodePort=FIRST_TURN_PORT + self._turn,
        )
        pod = manifests(builders.world(builders.pod(f"default/{TURN}-{self._turn}", TURN_ADDRESS, node=NODE)))
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*self._objects.values(), turn, *pod]})
        hidden = self._source / "manifests.new"
        hidden.write_text(text, encoding="utf-8")
        hidden.rename(self._source / "manifests.json")

    def _has_taken_its_turn(self) -> bool:
        port = f":{FIRST_TURN_PORT + self._turn:04X}"
        with self.lab.node.entered():
            lines = Path("/proc/thread-self/net/tcp6").read_text(encoding="ascii").splitlines()[1:]
        sockets = [line.split()[1:4] for line in lines]
        return any(own.endswith(port) and state == LISTENING for own, _, state in sockets)


def _identity(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]
