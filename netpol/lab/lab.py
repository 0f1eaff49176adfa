"""A cluster made of network namespaces."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from netpol.lab.machine import Machine, NodeMachine, Wire
from netpol.lab.namespace import LabError, Namespace, require_namespaces
from netpol.lab.topology import Endpoint, Outside, Wiring, of_family, with_wire_addresses
from netpol.model.networks import Address, Family
from netpol.model.objects import Node, Pod


class Lab:
    """Nodes, their pods and hosts outside, each in a namespace of its own and able to reach all the others.

    A pod is plugged in where it has an address and has not finished; one with hostNetwork is its node. Names are
    `namespace/pod`, `node/name` and `outside/name`.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        pods: Iterable[Pod] = (),
        outside: Iterable[Outside] = (),
        wiring: Wiring = Wiring.ROUTED,
    ) -> None:
        require_namespaces()
        self._open = ExitStack()
        self._machines: list[Machine] = []
        self._nodes: dict[str, NodeMachine] = {}
        self._pods: dict[str, tuple[Pod, Namespace]] = {}
        self._outside: dict[str, Machine] = {}
        with ExitStack() as until_complete:
            until_complete.callback(self.close)
            self._wire = Wire()
            self._open.callback(self._wire.close)
            for node in with_wire_addresses(nodes):
                self._nodes[node.name] = NodeMachine(node, self._wire, wiring)
                self._join(self._nodes[node.name])
            for host in outside:
                self._outside[host.name] = Machine(str(host), host.addresses, self._wire)
                self._join(self._outside[host.name])
            for pod in pods:
                self.plug(pod)
            until_complete.pop_all()

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes by name, with the addresses they have here."""
        return {name: machine.node for name, machine in self._nodes.items()}

    @property
    def pods(self) -> dict[str, Pod]:
        """The pods that are plugged in, by their names `namespace/pod`."""
        return {name: pod for name, (pod, _) in self._pods.items()}

    def plug(self, pod: Pod) -> None:
        """The pod can be reached, where it has an address and has not finished."""
        if pod.finished or not (pod.addresses or pod.host_network):
            return
        machine = self._machine_for(pod)
        if pod.host_network:
            self._pods[str(pod)] = (pod, machine.namespace)
            return
        self._pods[str(pod)] = (pod, machine.plug(str(pod), pod.addresses))
        for other in self._machines:
            for address in pod.addresses if other is not machine else ():
                other.reach(address, machine)

    def unplug(self, name: str) -> None:
        """The pod is gone, and its addresses lead nowhere."""
        pod, namespace = self._pods.pop(name)
        if pod.host_network:
            return
        machine = self._nodes[pod.node]
        for address in machine.unplug(name):
            for other in self._machines:
                if other is not machine:
                    other.forget(address)
        namespace.close()

    def namespace(self, name: str) -> Namespace:
        """The namespace in which the sockets of the pod, node or host called `name` live."""
        plugged = self._pods.get(name)
        return self._machine(name).namespace if plugged is None else plugged[1]

    def addresses(self, name: str) -> tuple[Address, ...]:
        """The addresses of the pod, node or host called `name`; a pod with hostNetwork has its node's."""
        if name not in self._pods:
            return self._machine(name).addresses
        pod, _ = self._pods[name]
        return self._nodes[pod.node].addresses if pod.host_network else pod.addresses

    def endpoint(self, name: str, family: Family = Family.IPV4) -> Endpoint:
        """The pod, node or host called `name`, at its first address of `family`."""
        address = of_family(self.addresses(name), family)
        if address is None:
            raise LabError(f"{name} has no IPv{family.value} address")
        return Endpoint(name, self.namespace(name), address)

    def endpoints(self, name: str) -> tuple[Endpoint, ...]:
        """The pod, node or host called `name`, at each of its addresses."""
        return tuple(Endpoint(name, self.namespace(name), address) for address in self.addresses(name))

    def close(self) -> None:
        """Every namespace of the lab is let go of; the kernel removes those nothing runs in."""
        for _, namespace in self._pods.values():
            namespace.close()
        self._pods.clear()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _machine_for(self, pod: Pod) -> NodeMachine:
        """The node to plug the pod into; LabError where that cannot be done."""
        if str(pod) in self._pods:
            raise LabError(f"pod {pod} is plugged in already")
        if pod.node not in self._nodes:
            raise LabError(f"pod {pod} is on a node that the lab does not have: {pod.node!r}")
        if not pod.host_network:
            taken = {address: other for other, _ in self._pods.values() for address in other.addresses}
            for address in pod.addresses:
                if address in taken:
                    raise LabError(f"{pod} and {taken[address]} both have {address}: a lab has no room for both")
        return self._nodes[pod.node]

    def _machine(self, name: str) -> Machine:
        kind, _, rest = name.partition("/")
        machine = self._nodes.get(rest) if kind == "node" else self._outside.get(rest) if kind == "outside" else None
        if machine is None:
            raise LabError(f"the lab has no {name}")
        return machine

    def _join(self, machine: Machine) -> None:
        self._open.callback(machine.close)
        for other in self._machines:
            for address in machine.addresses:
                other.reach(address, machine)
            for address in other.addresses:
                machine.reach(address, other)
        self._machines.append(machine)
