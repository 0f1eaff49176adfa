"""The agent as a process on node one of a lab, where it serves the services of a directory of manifests."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import builders
from vm.forked_agent import ForkedProcess
from vm.service_lab import ServiceLab
from world_manifests import manifests

from netpol.model.networks import Family

Manifest = dict[str, Any]

NODE = "one"
METRICS_PORT = 20245
STARTING_SECONDS = 60
SOON_SECONDS = 20
"""How long a guest on a busy machine may take for what takes milliseconds."""

TURN = "turn"
FIRST_TURN_PORT = 9100
TURN_ADDRESS = "10.1.0.199"
"""Of a pod that is not in the lab."""
LISTENING = "0A"
"""The state of a socket in /proc/net/tcp."""


class Proxied:
    """`netpol run --run-service-proxy` on the lab's node one; it knows the lab's nodes, pods and their namespaces.

    What else there is, is put. Policies are enforced where a flag says `--run-firewall`. Stopped or killed, it leaves
    the kernel as it is.
    """

    def __init__(self, lab: ServiceLab, directory: Path, *flags: str) -> None:
        self.lab = lab
        self.flags = flags
        self._log = directory / "log"
        self._source = directory / "manifests"
        self._source.mkdir()
        self._objects: dict[tuple[str, str, str], Manifest] = {}
        self._turn = 0
        self._given: tuple[str, ...] = ()
        self._process: ForkedProcess | None = None
        pods = lab.lab.pods.values()
        places = [builders.namespace(name) for name in sorted({pod.namespace for pod in pods})]
        self._note(manifests(builders.world(*places, *lab.lab.nodes.values(), *pods)))

    # --- what it is told

    def put(self, *objects: Manifest) -> None:
        """There are these objects, in place of those with the same names, and the kernel has all of it."""
        self._note(objects)
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
        """It runs with these flags beside its own, restarted where it did not."""
        if flags != self._given:
            self.restart(*flags)

    def stop(self) -> None:
        """It has ended as it was asked to, without a word of a bug."""
        process, self._process = self._process, None
        assert process is not None
        process.stop(SOON_SECONDS)
        assert process.status() == 0, self.said
        assert "Traceback" not in self.said, self.said

    def kill(self) -> None:
        """It was killed where it was."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()

    def until(self, what: str, ask: Callable[[], object], seconds: float = SOON_SECONDS) -> None:
        """The answer is yes, while it runs."""
        assert self._process is not None
        try:
            self._process.wait_until(what, ask, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.said}") from late

    # --- what it says

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def until_said(self, words: str, seconds: float = SOON_SECONDS, after: int = 0) -> None:
        """It has logged these words, `after` so many characters of its log."""
        self.until(f"says {words!r}", lambda: words in self.said[after:], seconds)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels that are not given."""
        with self.lab.node.entered():
            opened = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10)
        with opened as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        own = [line for line in lines if re.match(rf"{name}[ {{]", line)]
        return sum(float(line.rpartition(" ")[2]) for line in own if all(label in line for label in wanted))

    def virtual_servers(self) -> str:
        """IPVS of the node, as `ipvsadm --save` writes it."""
        return self.lab.run("ipvsadm", "-S", "-n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if error is None:
                self.stop()
            else:
                self._process.stop()

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


def service(
    name: str,
    *cluster: str,
    ports: str = "80/TCP",
    annotations: Mapping[str, str] | None = None,
    ingress: Sequence[str] = (),
    **spec: object,
) -> Manifest:
    """A Service `namespace/name` with these cluster addresses; ports such as `"http=80:30080/TCP dns=53/UDP"`.

    `ingress` are addresses of its load balancer.
    """
    namespace, _, own = name.partition("/")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": own, "annotations": dict(annotations or {})},
        "spec": {"clusterIPs": list(cluster), "ports": [_service_port(each) for each in ports.split()], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in ingress]}},
    }


def endpoint_slice(name: str, service: str, *endpoints: Manifest, ports: str = "8080/TCP") -> Manifest:
    """A slice `namespace/name` of the service `namespace/...`; ports such as `"http=8080/TCP"`."""
    namespace, _, own = name.partition("/")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": own,
            "labels": {"kubernetes.io/service-name": service.rpartition("/")[2]},
        },
        "addressType": "IPv6" if any(":" in each["addresses"][0] for each in endpoints) else "IPv4",
        "endpoints": list(endpoints),
        "ports": [
            {"name": name, "port": int(number), "protocol": protocol} for name, number, protocol in _parts(ports)
        ],
    }


def endpoint(address: str, node: str = NODE, hints: Manifest | None = None, **conditions: bool) -> Manifest:
    """An endpoint of a slice, ready unless said otherwise."""
    stated: Manifest = {"addresses": [address], "nodeName": node, "conditions": {"ready": True, **conditions}}
    return stated if hints is None else {**stated, "hints": hints}


def _service_port(text: str) -> Manifest:
    ((name, numbers, protocol),) = _parts(text)
    number, _, node_port = numbers.partition(":")
    stated: Manifest = {"name": name, "port": int(number), "protocol": protocol}
    return {**stated, "nodePort": int(node_port)} if node_port else stated


def _parts(text: str) -> Iterator[tuple[str, str, str]]:
    for each in text.split():
        name, _, rest = each.rpartition("=")
        numbers, _, protocol = rest.partition("/")
        yield name, numbers, protocol


def _identity(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]
