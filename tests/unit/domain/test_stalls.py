"""Whose job held the loop, read from a stack."""

from service.domain.stalls import Suspect, blamed, culprit, frames, stuck

STACK = """Current thread 0x00007f0a (most recent call first):
  File "/usr/lib/python3.11/socket.py", line 700 in readinto
  File "/venv/site-packages/requests/api.py", line 59 in get
  File "/app/jobs/fetch.py", line 41 in page
  File "/app/jobs/fetch.py", line 12 in fetch
  File "/venv/service/worker/attempt.py", line 200 in _call
"""
FOREIGN = ("/usr/lib/python3.11", "/venv")


def test_the_line_is_the_innermost_of_the_users_own():
    """Not where the library blocks, and not where the worker called: where the user called the library."""
    at = culprit(frames(STACK), FOREIGN)

    assert at is not None
    assert (at.file, at.line, at.name) == ("/app/jobs/fetch.py", 41, "page")


def test_the_job_is_the_one_whose_function_is_on_the_stack():
    """Whoever is overdue beside it may be a victim: its timeout could not be enforced."""
    culprit_job, victim = Suspect("j1", "fetch.fetch", is_overdue=False), Suspect("j2", "mail.send", is_overdue=True)

    assert blamed(frames(STACK), [culprit_job, victim]) is culprit_job


def test_of_several_jobs_of_the_function_the_overdue_one_is_blamed():
    """One of them is past its time; if several are, none is named."""
    late = [Suspect(f"j{n}", "fetch.fetch", is_overdue=True) for n in (1, 2)]
    early = Suspect("j3", "fetch.fetch", is_overdue=False)

    assert blamed(frames(STACK), [late[0], early]) is late[0]
    assert blamed(frames(STACK), [*late, early]) is None


def test_a_function_with_a_name_of_its_own_is_blamed_only_where_it_is_alone():
    """The stack does not show such a name; with others beside it nobody knows."""
    named = Suspect("j1", "reports.daily", is_overdue=True)

    assert blamed(frames(STACK), [named]) is named
    assert blamed(frames(STACK), [named, Suspect("j2", "mail.send", is_overdue=True)]) is None


def test_the_record_says_what_to_do_instead():
    """Line, code, what it called, how long, and a hint in one sentence; the function too, where several jobs run it."""
    late = [Suspect(f"j{n}", "fetch.fetch", is_overdue=True) for n in (1, 2)]
    stall = stuck("w1", 3.02, STACK, late, FOREIGN, "requests.get(url)")

    assert (stall["job_id"], stall["function"], stall["held_ms"]) == (None, "fetch.fetch", 3020)
    assert (stall["file"], stall["line"], stall["callee"]) == ("/app/jobs/fetch.py", 41, "readinto (socket.py)")
    assert stall["hint"].startswith("`requests.get(url)` in jobs/fetch.py:41 held the event loop 3.0 s")


def test_a_stack_that_could_not_be_had_makes_a_record_all_the_same():
    """C code that never lets go of the GIL may leave none."""
    stall = stuck("w1", 9.0, "", [], FOREIGN, None)

    assert (stall["file"], stall["job_id"], stall["stack"]) == (None, None, "")
