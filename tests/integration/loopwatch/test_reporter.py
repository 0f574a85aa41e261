"""The reporter: what is logged, counted and handed on, and that nothing holds it up for good."""

import queue
import threading
from collections import deque

import pytest
import structlog

from offload.loopwatch import reporter as reporters
from offload.loopwatch.judge import Evidence
from offload.loopwatch.reporter import Reporter
from offload.loopwatch.step_clock import Scope
from offload.loopwatch.verdicts import Stall


class Kept:
    """Takes what the reporter hands on; while `away` nothing can be written, and calls block until `let_go`."""

    def __init__(self):
        self.told = queue.Queue()
        self.waiting = deque()
        self.away = False
        self.let_go = threading.Event()
        self.let_go.set()
        self.lost = 0

    def keep(self, stall):
        self.let_go.wait(20)
        if stall["function"] == "t.broken":
            raise ValueError(stall)
        self.waiting.append(stall)

    def flush(self):
        while self.waiting and not self.away:
            self.told.put(("kept", self.waiting.popleft()))
        return bool(self.waiting)

    def blocked(self, stall, *, is_news):
        self.told.put(("news" if is_news else "again", stall))

    def next(self):
        what, stall = self.told.get(timeout=10)
        return what, stall["held_ms"]


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def reporter(kept):
    """A reporter that runs."""
    made = Reporter("worker", "w1", kept)
    made.start()
    yield made
    kept.let_go.set()
    made.stop()


def held(seconds, function="t.holds", kind="step", *, is_over=True):
    """What the watchdog hands over of a job that held the loop."""
    ns = round(seconds * 1e9)
    return Stall(kind, Scope("job", "j1", function), ns, 0, [], Evidence(ns, ns, 100_000_000), is_over=is_over)


def test_all_are_kept_and_counted_and_one_of_a_cause_is_logged(reporter, kept):
    """The log has one line for a cause in ten seconds; the rest is counted, by kind and by name."""
    with structlog.testing.capture_logs() as log:
        for stall in (held(0.2), held(0.3), held(0.4, "t.other"), held(0.5, kind="gc")):
            reporter.add_stall(stall)
        found = [kept.next() for _ in range(4)]

    assert found == [("kept", 200), ("kept", 300), ("kept", 400), ("kept", 500)]
    assert [(line["event"], line["function"]) for line in log] == [
        ("loop_stalled", "t.holds"),
        ("loop_stalled", "t.other"),
        ("loop_stalled", "t.holds"),
    ]
    assert (reporter.kinds(), reporter.counts["step", "t.holds"]) == ({"step": 3, "gc": 1}, (2, 0.5))


def test_what_lasts_is_logged_with_its_seconds_and_said_again(reporter, kept, monkeypatch):
    """After the watchdog's word the reporter keeps it fresh, until the end or until the word is too old."""
    monkeypatch.setattr(reporters, "_REFRESH_S", 0.02)
    with structlog.testing.capture_logs() as log:
        reporter.add_stall(held(1.0, is_over=False))
        first, second, third = kept.next(), kept.next(), kept.next()
        reporter.add_stall(held(1.3))
        while (last := kept.next())[0] == "again":
            pass

    assert [first[0], second[0], third[0], last] == ["news", "again", "again", ("kept", 1300)]
    assert 1000 == first[1] <= second[1] <= third[1]
    assert [(line["event"], line.get("held_s"), line.get("held_ms")) for line in log] == [
        ("loop_blocked", 1.0, None),
        ("loop_stalled", None, 1300),
    ]


def test_a_word_that_is_not_renewed_is_no_longer_believed(reporter, kept, monkeypatch):
    """The watchdog speaks when the time has doubled; where it does not, nothing is said to last."""
    monkeypatch.setattr(reporters, "_REFRESH_S", 0.02)
    reporter.add_stall(held(0.0, is_over=False))
    first = kept.next()
    while reporter._ongoing is not None:
        threading.Event().wait(0.005)

    assert first == ("news", 0)
    assert kept.told.qsize() <= 1


def test_what_cannot_be_kept_is_tried_again(reporter, kept, monkeypatch):
    """Without another stall, and the log has all of it meanwhile."""
    monkeypatch.setattr(reporters, "_FLUSH_S", 0.02)
    kept.away = True
    with structlog.testing.capture_logs() as log:
        reporter.add_stall(held(0.2))
        reporter.add_stall(held(0.2, "t.other"))
        while reporter.counts.keys() != {("step", "t.holds"), ("step", "t.other")}:
            pass
        kept.away = False
        found = [kept.next(), kept.next()]

    assert found == [("kept", 200), ("kept", 200)]
    assert [line["function"] for line in log] == ["t.holds", "t.other"]


def test_one_that_cannot_be_told_is_not_the_last(reporter, kept):
    """A failure is logged, and the next stall is told."""
    with structlog.testing.capture_logs() as log:
        reporter.add_stall(held(0.2, "t.broken"))
        reporter.add_stall(held(0.3))
        found = kept.next()

    assert found == ("kept", 300)
    assert "stall_not_reported" in [line["event"] for line in log]


def test_the_watchdog_never_waits(reporter, kept):
    """While a record cannot be handed on the next ones are queued, and what finds no room is counted as dropped."""
    kept.let_go.clear()
    for _ in range(reporters._MAX_QUEUED + 10):
        reporter.add_stall(held(0.2))

    assert 9 <= reporter.dropped <= 10


def test_what_is_lost_is_what_could_not_be_kept(reporter, kept):
    """The reporter tells what whoever keeps the records has lost."""
    kept.lost = 7

    assert reporter.lost == 7


def test_a_function_may_take_the_records():
    """A program that only wants the records gives a function, and hears nothing of what lasts."""
    taken = queue.Queue()
    made = Reporter("test", None, taken.put)
    made.start()
    made.add_stall(held(1.0, is_over=False))
    made.add_stall(held(1.5))
    record = taken.get(timeout=10)
    made.stop()

    assert (record["held_ms"], made.lost, taken.empty()) == (1500, 0, True)
