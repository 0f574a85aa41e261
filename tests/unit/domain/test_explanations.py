"""From facts to a sentence: which reason comes first, and what it says."""

from dataclasses import replace

import pytest

from offload.domain.errors import ErrorInfo
from offload.domain.explanations import Facts, JobRef, Reason, WorkerView, explain
from offload.domain.records import JobRecord, QueueState
from offload.domain.states import Status

NOW = 1_763_800_000_000
JOB = JobRecord("j1", "mail.send", "mail", Status.QUEUED, 0, 5, NOW - 1000, due_ms=NOW - 1000)
QUEUE = QueueState("mail", 1, 0, 0, NOW - 1000, False, None, None)
WORKER = WorkerView("w1", frozenset({"mail"}), frozenset({"mail.send"}), 10, 3, False, NOW - 2000)


def facts(record=JOB, queue=QUEUE, workers=(WORKER,), **about):
    """Facts of a due job that nothing holds back, but for what is given."""
    known = {"position": 0, "offered_ms": NOW - 1000, **about}
    return Facts(record, queue, workers, NOW, **known)


CASES = {
    Reason.NEXT: (facts(), "Next in queue 'mail'"),
    Reason.BEHIND_OTHERS: (
        facts(position=1234, before=[JobRef("j0", "mail.send")]),
        "Behind 1,234 jobs in queue 'mail', the first is j0 (mail.send).",
    ),
    Reason.QUEUE_PAUSED: (
        facts(queue=replace(QUEUE, paused=True, paused_by="ops", paused_ms=NOW - 60_000)),
        "Queue 'mail' is paused by ops since 2025-11-22T08:25:40.000Z; it starts no jobs until resumed.",
    ),
    Reason.NO_WORKER: (facts(workers=()), "Waiting for a worker: no live worker serves queue 'mail'."),
    Reason.UNKNOWN_FUNCTION: (
        facts(workers=[replace(WORKER, functions=frozenset({"a.b"}))]),
        "None of the 1 workers of queue 'mail' knows the function 'mail.send'",
    ),
    Reason.WORKERS_STOPPING: (
        facts(workers=[replace(WORKER, is_stopping=True)]),
        "All workers that could run it are stopping: w1.",
    ),
    Reason.MAX_RUNNING: (
        facts(queue=replace(QUEUE, max_running=2, running=2), holders=[JobRef("j7", "mail.send", "w1", NOW)]),
        "Queue 'mail' is at its limit: 2 of 2 jobs are running: j7 (mail.send) and 1 more.",
    ),
    Reason.RATE: (
        facts(queue=replace(QUEUE, rate="10/60s"), next_start_ms=NOW + 12_000),
        "the next start is allowed at 2025-11-22T08:26:52.000Z, in 12 s.",
    ),
    Reason.WORKERS_FULL: (facts(workers=[replace(WORKER, running=10)]), "All 10 slots of the workers"),
    Reason.DEFERRED: (
        facts(replace(JOB, status=Status.DEFERRED), offered_ms=NOW + 7_200_000, position=None),
        "Deferred until 2025-11-22T10:26:40.000Z, in 2 h.",
    ),
    Reason.RETRYING: (
        facts(replace(JOB, status=Status.RETRYING, attempt=2), offered_ms=NOW + 300_000, position=None),
        "Attempt 2 of 5 failed; the next may start at 2025-11-22T08:31:40.000Z, in 5 min.",
    ),
    Reason.REQUEUED: (facts(offered_ms=NOW + 2000, position=None), "could not run it"),
    Reason.RUNS_ELSEWHERE: (facts(is_leased=True), "Held by a stock arq worker"),
    Reason.NOT_QUEUED: (facts(offered_ms=None, position=None), "Not in any known queue"),
    Reason.RUNNING: (
        facts(replace(JOB, status=Status.RUNNING, worker="w1", started_ms=NOW - 90_000), is_leased=True),
        "Running for 90 s (since 2025-11-22T08:25:10.000Z) on worker w1; last heartbeat 2 s ago.",
    ),
    Reason.WAITS_FOR_THREAD: (
        facts(replace(JOB, status=Status.RUNNING, worker="w1", started_ms=NOW), is_leased=True, waits_for="thread"),
        "but all its threads for queue 'mail' are busy; the job starts when one is free.",
    ),
    Reason.WAITS_FOR_PROCESS: (
        facts(replace(JOB, status=Status.RUNNING, worker="w1", started_ms=NOW), is_leased=True, waits_for="process"),
        "but all its processes for queue 'mail' are busy",
    ),
    Reason.LEASE_OVER: (
        facts(replace(JOB, status=Status.RUNNING, worker="w9", started_ms=NOW - 90_000)),
        "Worker w9 lost its lease; the next free worker runs the job again.",
    ),
    Reason.SUCCEEDED: (
        facts(replace(JOB, status=Status.SUCCEEDED, attempt=1, finished_ms=NOW)),
        "Succeeded at 2025-11-22T08:26:40.000Z, after 1 attempt.",
    ),
    Reason.DEAD: (
        facts(replace(JOB, status=Status.DEAD, attempt=5, finished_ms=NOW, error=ErrorInfo("ValueError", "no"))),
        "Died at 2025-11-22T08:26:40.000Z, after 5 attempts (ValueError: no). Use `offload jobs retry` to requeue it.",
    ),
    Reason.ABORTED: (
        facts(replace(JOB, status=Status.ABORTED, finished_ms=NOW)),
        "Aborted at 2025-11-22T08:26:40.000Z. Use `offload jobs retry` to requeue it.",
    ),
}


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_sentence(reason):
    """The facts of each case give its reason, and a whole sentence for a person that names what matters."""
    given, said = CASES[reason]
    why = explain(given)

    assert why.reason is reason
    assert said in why.sentence
    assert why.sentence.endswith(".")


def test_what_a_person_must_clear_away_comes_first():
    """Of several reasons the first is what needs a person; the others are named in the order they would come."""
    why = explain(
        facts(
            queue=replace(QUEUE, paused=True, max_running=1, running=1, rate="1/60s"),
            workers=(),
            next_start_ms=NOW + 1,
            position=3,
        )
    )

    assert why.reason is Reason.QUEUE_PAUSED
    assert why.also == (Reason.NO_WORKER, Reason.MAX_RUNNING, Reason.RATE, Reason.BEHIND_OTHERS)


def test_a_deferred_job_says_what_will_hold_it_back_then():
    """When its time comes a deferred job will not start either, if its queue is paused; limits may have changed."""
    queue = replace(QUEUE, paused=True, max_running=1, running=1)
    why = explain(facts(replace(JOB, status=Status.DEFERRED), queue, offered_ms=NOW + 1000, position=None))

    assert (why.reason, why.also) == (Reason.DEFERRED, (Reason.QUEUE_PAUSED,))


def test_a_worker_that_was_not_heard_of_is_said_to_be_so():
    """A running job whose worker sends no beats is told apart from one that is well."""
    record = replace(JOB, status=Status.RUNNING, worker="w9", started_ms=NOW - 90_000)
    why = explain(facts(record, is_leased=True))

    assert "on worker w9; no recent heartbeat." in why.sentence
