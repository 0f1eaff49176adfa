"""What every writer of kernel settings does: the real one, and the one in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from netpol.errors import KernelRefusal
from proxy.kernel.protocols import ServiceLink, Sysctls

CONNTRACK, ARP, FORWARD = "net.ipv4.vs.conntrack", "net.ipv4.conf.all.arp_ignore", "net.ipv4.ip_forward"


@dataclass(frozen=True, slots=True)
class Settings:
    """A writer of the three settings above, as a new process has it, and the kernel behind it."""

    start: Callable[[], Sysctls]
    link: ServiceLink
    get: Callable[[str], str]
    put: Callable[[str, str], None]


class SysctlCases:
    """Cases for a fixture `settings`; each setting is 0 at first, and there is no link."""

    def test_all_drift_at_first_and_none_afterwards(self, settings: Settings) -> None:
        sysctls = settings.start()
        assert sysctls.drift() == {CONNTRACK: "1", ARP: "1", FORWARD: "1"}
        settings.link.ensure()
        sysctls.ensure()
        assert sysctls.drift() == {}
        assert [settings.get(each) for each in (CONNTRACK, ARP, FORWARD)] == ["1", "1", "1"]
        settings.put(ARP, "2")
        assert sysctls.drift() == {ARP: "1"}

    def test_nothing_is_changed_that_could_not_be_remembered(self, settings: Settings) -> None:
        with pytest.raises(KernelRefusal, match=r"^kernel settings cannot be remembered: there is no link kube-dummy"):
            settings.start().ensure()
        assert settings.get(CONNTRACK) == "0"

    def test_the_next_process_restores_all_but_forwarding(self, settings: Settings) -> None:
        settings.put(ARP, "2")
        settings.link.ensure()
        settings.start().ensure()
        settings.start().restore()
        assert [settings.get(each) for each in (CONNTRACK, ARP, FORWARD)] == ["0", "2", "1"]

    def test_what_was_first_is_what_is_restored(self, settings: Settings) -> None:
        settings.link.ensure()
        sysctls = settings.start()
        sysctls.ensure()
        settings.put(ARP, "2")
        sysctls.ensure()
        settings.start().ensure()
        settings.start().restore()
        assert [settings.get(each) for each in (CONNTRACK, ARP)] == ["0", "0"]

    def test_a_link_that_was_deleted_and_made_anew_knows_what_was_first(self, settings: Settings) -> None:
        settings.link.ensure()
        sysctls = settings.start()
        sysctls.ensure()
        settings.link.remove()
        settings.link.ensure()
        sysctls.ensure()
        settings.start().restore()
        assert [settings.get(each) for each in (CONNTRACK, ARP)] == ["0", "0"]

    def test_what_was_right_before_stays_right(self, settings: Settings) -> None:
        settings.put(CONNTRACK, "1")
        settings.link.ensure()
        settings.start().ensure()
        settings.put(CONNTRACK, "0")
        settings.start().ensure()
        settings.start().restore()
        assert [settings.get(each) for each in (CONNTRACK, ARP)] == ["1", "0"]

    def test_what_somebody_changed_since_is_theirs(self, settings: Settings) -> None:
        settings.link.ensure()
        settings.start().ensure()
        settings.put(ARP, "2")
        settings.start().restore()
        assert [settings.get(each) for each in (CONNTRACK, ARP)] == ["0", "2"]

    def test_what_was_restored_is_forgotten(self, settings: Settings) -> None:
        settings.link.ensure()
        settings.start().ensure()
        settings.start().restore()
        settings.put(CONNTRACK, "1")
        settings.start().restore()
        assert settings.get(CONNTRACK) == "1"

    def test_what_was_is_forgotten_with_the_link(self, settings: Settings) -> None:
        settings.link.ensure()
        settings.start().ensure()
        settings.link.remove()
        settings.start().restore()
        assert settings.get(CONNTRACK) == "1"
