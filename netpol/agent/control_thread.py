"""A thread that keeps a part of the kernel, and what becomes of it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection

from netpol.bus import Bus
from netpol.errors import NetpolError
from netpol.model.facts import Kind
from netpol.telemetry.logs import Log
from netpol.trigger import Trigger

STOP_SECONDS = 90.0

log = Log("agent")


class ControlThread(ABC):
    """The only thread that writes its part of the kernel, by the facts of its kinds; `error` is what it died of."""

    def __init__(self, name: str, bus: Bus, kinds: Collection[Kind]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.trigger = Trigger()
        self.subscription = bus.subscribe(kinds, self.trigger)
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def keep(self) -> None:
        """The kernel was kept until `stopping` was set and `trigger` pulled."""

    def start(self) -> None:
        """The kernel is kept from here on."""
        self._thread.start()

    def is_alive(self) -> bool:
        """False once it has stopped, or died."""
        return self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """What was begun is finished, and nothing is begun any more."""
        self.stopping.set()
        self.trigger.pull()

    def stop(self) -> None:
        """Nothing is written any more."""
        self.ask_to_stop()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.error(f"the {self.name} thread does not end", seconds=STOP_SECONDS)

    def _run(self) -> None:
        try:
            self.keep()
        except NetpolError as error:
            self.error = error
            log.warning(f"the {self.name} thread ended", reason=error)
        except BaseException as error:
            self.error = error
            log.exception(f"the {self.name} thread ended")
