"""Clients who ask throughout, and packets that come to where none may."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from vm.conversation import ask
from vm.service_lab import PORT, ServiceLab
from vm.ways import Way
from waiting import wait_until

from netpol.lab.prober import Outcome


class Watcher:
    """Inside the context, clients ask by these ways, hardly with a pause; `heard` is whoever answered them.

    `seen` are the packets that reached the pods which must get none, by the pods' own counters: also one that is never
    answered counts.
    """

    def __init__(self, lab: ServiceLab, clients: Sequence[str], asked: Sequence[Way], forbidden: Sequence[str]) -> None:
        self._lab, self._forbidden = lab, forbidden
        self._stopped = threading.Event()
        self.heard: set[str] = set()
        self.asked = 0
        self._threads = [
            threading.Thread(target=self._ask, args=(client, way), name="watcher", daemon=True)
            for client in clients
            for way in asked
        ]

    def seen(self) -> int:
        """How many packets came to where none may."""
        count = 0
        for pod in self._forbidden:
            for tool in ("iptables-save", "ip6tables-save"):
                lines = self._lab.run(tool, "-c", "-t", "raw", on=pod).splitlines()
                count += sum(int(line[1 : line.index(":")]) for line in lines if "-j RETURN" in line)
        return count

    def go_on(self, times: int = 10) -> None:
        """Returns once they have asked so many times more."""
        before = self.asked
        wait_until(lambda: self.asked >= before + times, "more questions")

    def __enter__(self) -> Self:
        for pod in self._forbidden:
            for tool in ("iptables", "ip6tables"):
                for protocol in ("tcp", "udp"):
                    rule = f"-t raw -A PREROUTING -p {protocol} --dport {PORT} -j RETURN"
                    self._lab.run(tool, *rule.split(), on=pod)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for pod in self._forbidden:
            for tool in ("iptables", "ip6tables"):
                self._lab.run(tool, "-t", "raw", "-F", on=pod)

    def _ask(self, client: str, way: Way) -> None:
        source = self._lab.endpoint(client, way.family)
        # A guest has one processor, and the agent is to get along.
        while not self._stopped.wait(0.03):
            found = ask(source, way.address, way.port, way.protocol, seconds=0.1)
            self.asked += 1
            if not isinstance(found, Outcome):
                self.heard.add(found.name)
