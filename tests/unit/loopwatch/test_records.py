"""What people read of a stall."""

import hashlib
import threading
import time

import pytest

from offload.loopwatch import describe
from offload.loopwatch.judge import Evidence
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import Scope
from offload.loopwatch.suspects import AtWork, CpuUse, collect_uses, suspects
from offload.loopwatch.verdicts import Stall

MS = 1_000_000
HELD = 250 * MS


def hold():
    """Have a call and an operator to stand at."""
    hashlib.sha256(b"x")
    return 7 in [1, 2, 3]


def at(name):
    """The place of an instruction of `hold`."""
    import dis

    code = hold.__code__
    found = [one.offset for one in dis.get_instructions(code) if one.opname.startswith(name)]
    return code, found[-1]


def stall(place, *, late_ms=0, kind="step", suspected=()):
    """A stall that one sample saw."""
    scope = Scope("job", "1", "mail.send")
    evidence = Evidence(
        HELD, 300 * MS, 100 * MS, cpu_ns=7 * MS, gc_ns=3 * MS, waited_ns=2 * MS, watchdog_late_ns=late_ms * MS
    )
    sample = Sample(0, 0, 7, scope, (place,), 1, "Task-1")
    return Stall(kind, scope, HELD, 0, [sample], evidence, list(suspected))


def test_a_record_says_what_was_measured():
    """Processor time of the loop's thread, garbage collection, and waiting for a processor, in ms."""
    found = describe.record(stall(at("CALL")), "worker", "w1")

    assert (found["held_ms"], found["cpu_ms"], found["gc_ms"], found["waited_ms"]) == (250, 7, 3, 2)
    assert found["suspects"] == []


@pytest.mark.parametrize(
    ("name", "late_ms", "is_exact"), [("CALL", 240, True), ("CONTAINS", 240, False), ("CONTAINS", 0, True)]
)
def test_the_line_is_exact_unless_an_operator_held_the_gil(name, late_ms, is_exact):
    """The thread gives the GIL up as a call returns, and after an operator somewhat later."""
    found = describe.record(stall(at(name), late_ms=late_ms), "worker", None)

    assert found["line_exact"] is is_exact


def test_without_a_sample_the_line_is_that_of_the_function():
    """And said to be no more."""
    scope = Scope("job", "1", "mail.send", "/srv/jobs/mail.py", 12)
    found = describe.record(Stall("step", scope, HELD, 0, [], Evidence(HELD, HELD, 100 * MS)), "worker", None)

    assert (found["file"], found["line"], found["line_exact"]) == ("/srv/jobs/mail.py", 12, False)


def test_a_thread_that_works_on_a_job_and_computed_is_suspected():
    """With the job, and where it was if that was seen."""
    with AtWork("hog", "report.build"):
        ends = time.thread_time_ns() + 60 * MS
        while time.thread_time_ns() < ends:
            pass
    used = collect_uses()
    sample = Sample(0, 0, 7, None, (), 1, "", ((threading.get_ident(), (at("CALL"),)),))
    found = describe.record(
        stall(at("CALL"), kind="gil-other-thread", suspected=suspects(0, 100 * MS, [sample], used)), "worker", None
    )

    assert [(one["job_id"], one["function"], one["line"]) for one in found["suspects"]] == [
        ("hog", "report.build", hold.__code__.co_firstlineno + 2)
    ]
    assert found["suspects"][0]["thread"] == threading.current_thread().name


def test_who_used_little_or_before_is_not_suspected():
    """Only a share of the very stall counts."""
    little = CpuUse(300 * MS, 1, "a", "light", "x.y", 11 * MS)
    before = CpuUse(50 * MS, 2, "b", "early", "x.y", 90 * MS)

    assert suspects(100 * MS, 200 * MS, [], [little, before]) == []


def test_what_a_thread_used_is_told_once_and_also_when_it_has_ended():
    """Whether it ends before or after somebody looks."""
    at_work = AtWork("job", "x.y")
    with at_work:
        ends = time.thread_time_ns() + 20 * MS
        while time.thread_time_ns() < ends:
            pass
        first = sum(one.cpu_ns for one in collect_uses() if one.job_id == "job")
    second = sum(one.cpu_ns for one in collect_uses() if one.job_id == "job")

    assert first >= 20 * MS
    assert second < 20 * MS
