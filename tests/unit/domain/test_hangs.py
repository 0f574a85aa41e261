"""Whose job held the loop, read from a stack and from what the step clock says."""

import pytest

from offload.domain.hangs import Suspect, Verdict, diagnose, frames, innermost_user_frame, responsible_job

STACK = """Current thread 0x00007f0a (most recent call first):
  File "/usr/lib/python3.11/socket.py", line 700 in readinto
  File "/venv/site-packages/requests/api.py", line 59 in get
  File "/app/jobs/fetch.py", line 41 in page
  File "/app/jobs/fetch.py", line 12 in fetch
  File "/venv/offload/worker/attempt.py", line 200 in _call
"""
FOREIGN = ("/usr/lib/python3.11", "/venv")


def test_the_line_is_the_innermost_of_the_users_own():
    """Not where the library blocks, and not where the worker called: where the user called the library."""
    at = innermost_user_frame(frames(STACK), FOREIGN)

    assert at is not None
    assert (at.file, at.line, at.name) == ("/app/jobs/fetch.py", 41, "page")


def test_the_job_is_the_one_that_the_step_clock_named():
    """Whatever the stack looks like, and however many jobs of its function are overdue beside it."""
    late = [Suspect(f"j{n}", "fetch.fetch", is_overdue=True) for n in (1, 2)]
    named = Suspect("j3", "mail.send", is_overdue=False, is_known=True)

    assert responsible_job(frames(STACK), [*late, named]) is named
    assert diagnose(Verdict.BLOCKED, 3, STACK, [*late, named], FOREIGN).is_exact


def test_two_jobs_that_the_clock_cannot_tell_apart_are_told_by_the_stack():
    """Their ids have the same checksum; the stack is a guess, and not exact."""
    twins = [Suspect("j1", "fetch.fetch", False, True), Suspect("j2", "mail.send", False, True)]
    one = diagnose(Verdict.BLOCKED, 3, STACK, twins, FOREIGN)

    assert (one.job_id, one.is_exact) == ("j1", False)


def test_the_job_is_the_one_whose_function_is_on_the_stack():
    """Whoever is overdue beside it may be a victim: its timeout could not be enforced."""
    culprit_job, victim = Suspect("j1", "fetch.fetch", is_overdue=False), Suspect("j2", "mail.send", is_overdue=True)

    assert responsible_job(frames(STACK), [culprit_job, victim]) is culprit_job


def test_of_several_jobs_of_the_function_the_overdue_one_is_blamed():
    """One of them is past its time; if several are, none is named."""
    late = [Suspect(f"j{n}", "fetch.fetch", is_overdue=True) for n in (1, 2)]
    early = Suspect("j3", "fetch.fetch", is_overdue=False)

    assert responsible_job(frames(STACK), [late[0], early]) is late[0]
    assert responsible_job(frames(STACK), [*late, early]) is None


def test_a_function_with_a_name_of_its_own_is_blamed_only_where_it_is_alone():
    """The stack does not show such a name; with others beside it nobody knows."""
    named = Suspect("j1", "reports.daily", is_overdue=True)

    assert responsible_job(frames(STACK), [named]) is named
    assert responsible_job(frames(STACK), [named, Suspect("j2", "mail.send", is_overdue=True)]) is None


def test_the_record_says_what_to_do_instead():
    """Line, code, what it called, how long, and a hint in one sentence; the function too, where several jobs run it."""
    late = [Suspect(f"j{n}", "fetch.fetch", is_overdue=True) for n in (1, 2)]
    stall = diagnose(Verdict.BLOCKED, 3.02, STACK, late, FOREIGN).with_code("requests.get(url)").stall_record("w1")

    assert (stall["kind"], stall["job_id"], stall["function"], stall["held_ms"]) == ("step", None, "fetch.fetch", 3020)
    assert (stall["file"], stall["line"], stall["callee"]) == ("/app/jobs/fetch.py", 41, "readinto (socket.py)")
    assert stall["hint"].startswith("`requests.get(url)` in jobs/fetch.py:41 held the event loop 3.0 s (")
    assert stall["hint"].endswith("make the job function a `def`.")
    assert stall["reason"] == "the event loop was blocked, while the interpreter was alive"


def test_where_the_gil_was_held_a_thread_is_no_advice():
    """Only a process helps."""
    stall = diagnose(Verdict.GIL_HELD, 3.0, STACK, [], FOREIGN).stall_record("w1")

    assert "a thread would not help" in stall["hint"]


@pytest.mark.parametrize(("verdict", "kind"), [(Verdict.STOPPED, "starved"), (Verdict.SILENT, "step")])
def test_a_stack_that_could_not_be_had_makes_a_record_that_blames_nobody(verdict, kind):
    """A process that was stopped from outside, or cannot be reached even by a signal, leaves none."""
    alone = Suspect("j1", "fetch.fetch", is_overdue=True)
    stall = diagnose(verdict, 9.0, "", [alone], FOREIGN).stall_record("w1")

    assert (stall["kind"], stall["file"], stall["job_id"], stall["stack"]) == (kind, None, None, "")
