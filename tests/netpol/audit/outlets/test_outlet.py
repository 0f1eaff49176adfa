"""An outlet writes all or accounts for it, whatever its sink does, and nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outlets import NODE, Running, made, packets, records, running, seconds_of
from waiting import wait_until

from netpol.audit.outlets import outlet as module
from netpol.audit.outlets.outlet import LONGEST_PAUSE_SECONDS, MOST_WAITING, TooLarge
from netpol.audit.record import Action, Cause, Record

TOO_LARGE = TooLarge("9999 bytes")
FULL = OSError(28, "No space left on device")


@pytest.fixture(autouse=True, scope="module")
def _hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
        patch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.002)
        patch.setattr(module, "QUIET_SECONDS", 0.02)
        yield


class Fickle:
    """Answers its first attempts as it is told to, and then takes all; while `held`, an attempt waits."""

    def __init__(self, answers: Sequence[Exception | None] = ()) -> None:
        self.answers = list(answers)
        self.written: list[Record] = []
        self.spurned: list[Record] = []
        self.attempts = 0
        self.closed = threading.Event()
        self.reading = threading.Event()
        self.reading.set()

    def write(self, record: Record) -> None:
        self.attempts += 1
        self.reading.wait()
        answer = self.answers.pop(0) if self.answers else None
        if answer:
            if not isinstance(answer, OSError):
                self.spurned.append(record)
            raise answer
        self.written.append(record)

    def close(self) -> None:
        self.closed.set()


class Broken(Fickle):
    """Takes nothing while it `is_broken`."""

    is_broken = True

    def write(self, record: Record) -> None:
        super().write(record)
        if self.is_broken:
            self.written.pop()
            raise FULL


class Waits(threading.Event):
    """Lets the time pass at once, keeps how long was waited, and stops the outlet after some."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.most = most

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        if len(self.waited) == self.most:
            self.set()
        return self.is_set()


def lines_of(capture: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in capture.records if record.name.startswith("netpol.audit")]


@given(
    st.lists(st.sampled_from([None, FULL, BrokenPipeError(32, "Broken pipe"), TOO_LARGE, RuntimeError("a bug")])),
    st.integers(1, 30),
)
def test_what_was_written_and_what_was_lost_make_up_what_was_put(answers: list[Exception | None], number: int) -> None:
    sink = Fickle(answers)
    with running(sink) as work:
        put = work.put(records(number))
        wait_until(lambda: packets(sink.written) == put)

    described, spurned = (
        [record.dst_port for record in some if record.reason is not Cause.LOST] for some in (sink.written, sink.spurned)
    )
    assert described == sorted({*range(1, number + 1)} - {*spurned})
    assert (work.counted("written"), work.counted("lost")) == (len(sink.written), len(sink.spurned))
    assert work.lost_packets() == put - sum(record.count for record in sink.written)


def test_what_the_sink_refuses_for_a_while_is_not_lost() -> None:
    sink = Fickle([FULL] * 5)
    with running(sink) as work:
        work.put(records(3))
        work.wait_for(3)

    assert sink.written == records(3)
    assert work.counted("lost") == 0


def test_the_next_record_tells_of_what_was_lost_before_it() -> None:
    sink = Fickle([TOO_LARGE])
    work = made(sink)
    work.put(records(3))
    work.outlet.start()
    work.wait_for(3)

    assert [(record.count, record.lost) for record in sink.written] == [(2, 1), (3, 0)]


def test_what_a_record_says_was_lost_elsewhere_is_kept_and_not_counted_as_lost_here() -> None:
    sink = Fickle([TOO_LARGE])
    first, second = records(2)
    work = made(sink)
    put = work.put([Record.of_lost(first.ts, NODE, 40), second])
    work.outlet.start()
    work.wait_for(2)

    assert put == packets(sink.written) == 42
    assert work.lost_packets() == 0


def test_where_no_record_follows_one_is_made_that_only_counts() -> None:
    sink = Fickle([TOO_LARGE])
    with running(sink) as work:
        work.put(records(1))
        wait_until(lambda: sink.written)

    assert sink.written == [Record.of_lost("2026-01-02T03:04:05.678000Z", NODE, 1)]
    assert (sink.written[0].action, sink.written[0].count) == (Action.UNKNOWN, 0)


def test_a_reader_that_hangs_costs_records_and_nobodys_time() -> None:
    sink = Fickle()
    sink.reading.clear()
    with running(sink) as work:
        put = work.put(records(1))
        wait_until(lambda: sink.attempts)
        many = records(MOST_WAITING + 500)
        took = seconds_of(lambda: work.put(many))
        put += packets(many)
        assert work.counted("lost") == 500
        sink.reading.set()
        wait_until(lambda: packets(sink.written) == put)

    assert took < 2
    assert len(sink.written) == MOST_WAITING + 1
    assert [record.lost for record in sink.written[:3]] == [0, packets(many[-500:]), 0]
    assert work.lost_packets() == packets(many[-500:])


def test_a_stop_writes_what_waits_and_closes() -> None:
    sink = Fickle()
    work = made(sink)
    work.put(records(50))
    work.outlet.start()
    work.outlet.stop(5)

    assert sink.written == records(50)
    assert sink.closed.is_set()


def test_a_stop_writes_the_account() -> None:
    sink = Fickle([TOO_LARGE])
    work = made(sink)
    put = work.put(records(1))
    work.outlet.start()
    work.outlet.stop(5)

    assert packets(sink.written) == put


@pytest.mark.parametrize("answer", [None, FULL, TOO_LARGE])
def test_a_stop_does_not_wait_for_a_reader_that_hangs(answer: Exception | None) -> None:
    sink = Fickle([answer])
    sink.reading.clear()
    work = made(sink)
    work.outlet.start()
    put = work.put(records(10))
    wait_until(lambda: sink.attempts)

    assert seconds_of(lambda: work.outlet.stop(0.05)) < 1
    assert (work.counted("written"), work.counted("lost"), work.lost_packets()) == (0, 10, put)

    sink.reading.set()
    assert sink.closed.wait(5)
    assert (work.counted("written"), work.counted("lost")) == (0, 10)


def test_a_stop_waits_for_no_sink_that_refuses(caplog: pytest.LogCaptureFixture) -> None:
    sink = Broken()
    work = made(sink)
    work.outlet.start()
    put = work.put(records(10))
    wait_until(lambda: sink.attempts > 3)

    assert seconds_of(lambda: work.outlet.stop(30)) < 1
    assert (work.counted("written"), work.counted("lost"), work.lost_packets()) == (0, 10, put)
    assert sink.closed.is_set()
    assert lines_of(caplog) == ["the audit log cannot be written", "the end of the audit log is lost"]


def test_a_second_stop_counts_nothing_again() -> None:
    work = made(Broken())
    work.outlet.start()
    work.put(records(10))
    work.outlet.stop(1)
    work.outlet.stop(1)

    assert work.counted("lost") == 10


@pytest.mark.parametrize("is_started", [True, False])
def test_what_comes_after_the_stop_is_counted(is_started: bool) -> None:
    sink = Fickle()
    work = made(sink)
    if is_started:
        work.outlet.start()
    work.outlet.stop(1)
    work.put(records(2))

    assert (work.counted("lost"), work.lost_packets(), sink.written) == (2, 3, [])


def test_pauses_grow_and_have_a_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", LONGEST_PAUSE_SECONDS)
    sink, waits = Broken(), Waits(9)
    work = made(sink)
    work.outlet._stopping = waits
    work.put(records(1))
    work.outlet._run()

    assert waits.waited == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])


def test_a_trouble_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "netpol")
    sink = Broken()
    with running(sink) as work:
        work.put(records(1))
        wait_until(lambda: sink.attempts > 5)
        sink.is_broken = False
        work.wait_for(1)
        assert lines_of(caplog) == ["the audit log cannot be written", "the audit log is written again"]

        sink.is_broken = True
        work.put(records(1))
        wait_until(lambda: lines_of(caplog)[2:] == ["the audit log cannot be written"])
        sink.is_broken = False


def test_records_that_are_given_up_one_by_one_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = Fickle([TOO_LARGE, None, TOO_LARGE, None, TOO_LARGE, None])
    with running(sink) as work:
        work.put(records(6))
        work.wait_for(6)

    assert lines_of(caplog) == ["a record of the audit log is given up"]


def test_many_threads_put_and_nothing_is_lost_between_them() -> None:
    sink = Fickle([FULL, TOO_LARGE] * 20)
    with running(sink) as work:
        threads = [threading.Thread(target=work.put, args=(records(100),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: packets(sink.written) == 4 * packets(records(100)))


def test_an_outlet_is_known_by_its_name() -> None:
    work: Running = made(Fickle())

    assert work.outlet._thread.name == "audit test"
    assert work.outlet._thread.daemon
