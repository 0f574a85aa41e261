"""The scripts against a model: hypothesis drives them in any order, over workers and queues, and compares each step.

Time is the test's own: it is passed to the scripts, which reckon with it in every score. Only the keys that live for a
lease or a result TTL are dropped by the server's clock; they are given more than a history lasts, and the test removes
them itself at the moment that the model's clock passes their end. That is also what a server does, only that a real
one may do so between two steps, which here is a step of its own.

`pytest tests/integration/model --model-examples=2000 --model-steps=60` tries for minutes; what it finds it shrinks.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from conftest import leaked_keys
from offload.store import keys
from offload.store.connection.connection import client, settings_of
from support.clockwork import LEASE, START, Clockwork, Taken
from support.model import CALLBACK_KEPT, CALLBACKS, TERMINAL, WAITING, Model, lost_error

STATUSES = ("deferred", "queued", "running", "retrying", *TERMINAL)
KEEP, KEPT, ABORTS_KEPT = 15_000, 40_000, 60_000

ERRORS = ("a" * 12, "b" * 12)
CALLBACK = f'{{"queue": "{CALLBACKS}", "fields": ["function", "t.f"], "options": {{"callback": {{}}}}}}'
IDS, WORKERS, QUEUES = "abcd", ("w1", "w2"), ("default", "few")
picks = st.integers(0, 11)
workers = st.sampled_from(WORKERS)
queues = st.sampled_from(QUEUES)
orders = st.sampled_from([QUEUES, QUEUES[::-1], ("few",)])
delays = st.sampled_from([0, 0, 1, 5_000, 20_000])
keeps = st.sampled_from([0, KEEP])
priorities = st.sampled_from([0, 0, 1, 9])
uniques = st.sampled_from([None, None, "aa"])
uniques_for = st.sampled_from([0, 0, 30_000, 90_000])
tags = st.sampled_from([None, "x"])
errors = st.sampled_from(["", *ERRORS])
verbs = st.sampled_from(["succeeded", "dead", "aborted", "retry", "retry", "requeued"])


class Scripts(RuleBasedStateMachine):
    """Each rule calls a script and the model, and compares what both say; the invariants compare what is stored."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = client(settings_of(self.url))
        self.store = Clockwork(self.redis)
        self.model = Model(LEASE, START, limits={"few": 1})
        self.taken: list[Taken] = []
        self.live_before = 0
        self.do(self.redis.flushall())
        self.do(self.redis.hset(keys.QUEUE + "few", "max_running", 1))
        self.do(self.redis.sadd(keys.QUEUES, *QUEUES))  # as a worker does that serves them

    def do(self, coroutine: Any) -> Any:
        """Await."""
        return self.runner.run(_awaited(coroutine))

    def teardown(self) -> None:
        """What a history must have left behind, whatever it was."""
        leaked = self.do(leaked_keys(self.redis))
        ended = Counter(event for event in self.do(self.store.events()) if event[0] in TERMINAL)
        self.do(self.redis.aclose())
        self.runner.close()

        assert not leaked, f"keys that nobody will remove: {leaked}"
        assert ended == Counter(self.model.ended), (
            "each ending is told once, and no job ends more often than it was run"
        )

    # What callers do.

    @rule(
        pick=picks,
        queue=queues,
        delay=delays,
        max_tries=st.integers(1, 2),
        count=st.integers(1, 3),
        priority=priorities,
        unique=uniques,
        span=uniques_for,
        tag=tags,
        has_callback=st.sampled_from([False, False, True]),
    )
    def enqueue(self, pick, queue, delay, max_tries, count, priority, unique, span, tag, has_callback):
        due = self.model.now + delay if delay else 0
        ids = [IDS[(pick + i) % len(IDS)] for i in range(count)]
        about = (max_tries, priority, unique, span, tag, has_callback)
        expected = [self.model.enqueue(one, queue, due, *about) for one in ids]
        said = {"max_tries": max_tries} | ({"priority": priority} if priority else {})
        said |= {"unique": unique} if unique else {}
        said |= {"unique_for": span} if unique and span else {}
        said |= {"tags": f'["{tag}"]'} if tag else {}
        said |= {"callback": b"its payload", "callback_job": CALLBACK} if has_callback else {}

        assert self.do(self.store.enqueue(*ids, queue=queue, due=due, **said)) == expected

    @precondition(lambda self: self._ids(self._is_free_for_stock))
    @rule(pick=picks, queue=queues, delay=delays)
    def enqueue_as_stock_arq(self, pick, queue, delay):
        one = self._one(pick, self._is_free_for_stock)
        queue = self.model.jobs[one].queue if one in self.model.jobs else queue
        self.model.stock(one, queue, self.model.now + delay)
        self.do(self.store.stock(one, queue=queue, due=self.model.now + delay))

    @rule(one=st.sampled_from(IDS))
    def abort(self, one):
        expected = self.model.abort(one, KEPT, KEEP)
        said = self.do(self.store.abort(one, queues=QUEUES, keep=KEEP, kept=KEPT))

        assert said == [expected]

    @rule(one=st.sampled_from(IDS))
    def replay(self, one):
        expected = self.model.replay(one)

        assert self.do(self.store.replay(one)) == [expected]

    @rule(one=st.sampled_from(IDS))
    def forget(self, one):
        expected = self.model.forget(one)

        assert self.do(self.store.run("forget", one)) == [expected.encode()]

    @rule(queue=queues)
    def pause_or_resume(self, queue):
        self.model.paused ^= {queue}
        self.do(self.redis.hset(keys.QUEUE + queue, "paused", int(queue in self.model.paused)))

    @rule(limit=st.integers(1, 2))
    def limit(self, limit):
        self.model.limits["few"] = limit
        self.do(self.redis.hset(keys.QUEUE + "few", "max_running", limit))

    # What workers do.

    @precondition(lambda self: self._ids(self._is_due))
    @rule(worker=workers, slots=st.integers(1, 4), order=orders)
    def claim(self, worker, slots, order):
        expected = self.model.claim(worker, f"{worker}:{self.store.sequence.get(worker, 0) + 1}", slots, order)
        got = self.do(self.store.claim(worker, slots, order, timeout=25_000))
        self.taken += got.jobs

        assert [(job.id, job.attempt, job.lost, job.aborted) for job in got.jobs] == expected
        assert all(job.payload == b"payload of " + job.id.encode() for job in got.jobs)

    @precondition(lambda self: self.taken)
    @rule(pick=picks, is_any=st.sampled_from([False, False, True]), verb=verbs, delay=delays, keep=keeps, error=errors)
    def finish(self, pick, is_any, verb, delay, keep, error):
        """Any attempt that ever began may end now, also one that was lost long ago."""
        live = [job for job in self.taken if job.id in self.model.jobs and self.model.jobs[job.id].holder == job.token]
        among = self.taken if is_any or not live else live
        job = among[-1 - pick % len(among)]
        due = self.model.now + delay if delay or verb == "retry" else 0
        error = error if verb in ("dead", "retry") else ""
        expected = self.model.finish(job.id, job.token, verb, due, KEPT, keep, error)
        about = {"result": b"result" if keep else b"", "fingerprint": error}
        [written] = self.do(self.store.finish(verb, job, due=due, kept=KEPT, keep=keep, **about))

        assert written == expected

    @precondition(lambda self: self.model.deadlines)
    @rule(pick=picks)
    def renew(self, pick):
        worker = self._holder(pick)
        expected = self.model.renew(worker)
        lost, overdue = self.do(self.store.renew(worker))

        assert (set(lost), set(overdue)) == expected

    @precondition(lambda self: self.model.deadlines)
    @rule(pick=picks, is_known=st.booleans())
    def die(self, pick, is_known):
        worker = self._holder(pick)
        culprit = self.model.held(worker)[-1] if is_known else None
        expected = self.model.release(worker, culprit)
        given, dead = self.do(self.store.release(worker, culprit=culprit or ""))

        assert (set(given), set(dead)) == expected

    @precondition(lambda self: self.model.jobs)
    @rule()
    def prune(self):
        expected = self.model.prune(ABORTS_KEPT)

        assert self.do(self.store.run("prune", 100, ABORTS_KEPT)) == expected
        assert not [queue for queue in QUEUES if self.do(self._places_without_a_lease(queue))]

    async def _places_without_a_lease(self, queue: str) -> int:
        return await self.redis.zcount(keys.RUNNING_ON + queue, "-inf", self.store.now)

    @precondition(lambda self: any(job.status in WAITING for job in self.model.jobs.values()))
    @rule(queue=queues, tag=tags)
    def look(self, queue, tag):
        self.model.promote()
        ids, _ = self.do(self.store.page("queued", f"queue:{queue}", *([f"tag:{tag}"] if tag else [])))
        queued = {one: job for one, job in self.model.jobs.items() if job.status == "queued" and job.queue == queue}

        assert set(ids) == {one for one, job in queued.items() if tag in (None, job.tag)}

    @precondition(lambda self: self._ids(self._is_due))
    @rule(pick=picks)
    def stock_worker_takes(self, pick):
        one = self._one(pick, self._is_due)
        self.model.stock_holds(one)
        self.do(self.redis.incr(keys.ARQ_RETRY + one))
        self.do(self.redis.expire(keys.ARQ_RETRY + one, 88_400))
        self.do(self.store.held_by_stock(one))

    @precondition(lambda self: self._ids(self._is_held_by_stock))
    @rule(pick=picks)
    def stock_worker_ends(self, pick):
        one = self._one(pick, self._is_held_by_stock)
        queue = self.model.jobs[one].queue
        self.model.stock_ends(one, KEEP)
        self.do(self.store.ended_by_stock(one, queue=queue))

    @precondition(lambda self: self.model.jobs)
    @rule(ms=st.sampled_from([1, LEASE // 3, LEASE - 1, LEASE, LEASE, 2 * LEASE, KEPT, 320_000, CALLBACK_KEPT]))
    def pass_time(self, ms):
        had = {one for one, job in self.model.jobs.items() if job.result_until is not None}
        taken = set(self.model.unique)
        lapsed = self.model.advance(ms)
        has = {one for one, job in self.model.jobs.items() if job.result_until is not None}
        self.store.now = self.model.now
        gone = [keys.ARQ_IN_PROGRESS + one for one in lapsed] + [keys.ARQ_RESULT + one for one in had - has]
        gone += [keys.UNIQUE + key for key in taken - set(self.model.unique)]
        if gone:
            self.do(self.redis.delete(*gone))

    # Which jobs a step can be about: a history that does nothing finds nothing.

    def _is_free_for_stock(self, one: str) -> bool:
        job = self.model.jobs.get(one)
        return job is None or (job.score is None and job.result_until is None)

    def _is_due(self, one: str) -> bool:
        job = self.model.jobs.get(one)
        return job is not None and job.score is not None and job.score <= self.model.now and job.holder is None

    def _is_held_by_stock(self, one: str) -> bool:
        return one in self.model.jobs and self.model.jobs[one].holder == "1"

    def _ids(self, may: Callable[[str], bool]) -> list[str]:
        return [one for one in IDS if may(one)]

    def _one(self, pick: int, may: Callable[[str], bool]) -> str:
        return self._ids(may)[pick % len(self._ids(may))]

    def _holder(self, pick: int) -> str:
        holders = sorted({worker for worker, _ in self.model.deadlines})
        return holders[pick % len(holders)]

    # What must hold after each step.

    @invariant()
    def nothing_is_lost_doubled_or_left_over(self):
        stored, sets = self.do(self._read())
        self._check_alone(stored)
        self._check_limits()

        assert {one: found for one, found in stored.items() if found} == {
            one: self._of_job(one) for one in self.model.jobs
        }
        assert sets == self._of_all()
        holder = self.do(self.redis.get(keys.UNIQUE + "aa"))
        assert (holder.decode() if holder else None) == self.model.unique.get("aa")

    def _check_alone(self, stored: dict[str, dict[str, Any]]) -> None:
        """A job waits, or runs, or has ended: said of what is stored alone, whatever the model thinks."""
        for one, found in stored.items():
            is_in_queue, status = "score" in found, found.get("status")
            is_stocks = status is None or (is_in_queue and status in TERMINAL) or one in self._ended_by_stock()

            assert is_stocks or is_in_queue != (status in TERMINAL), f"{one} is lost, or both queued and finished"
            assert not is_in_queue or found["has_payload"], f"{one} is queued without its arguments"

    def _check_limits(self) -> None:
        running, before = self.model.live("few"), self.live_before
        self.live_before = running

        assert running <= max(before, self.model.limits["few"]), f"{running} jobs of a queue of limited size run"

    def _ended_by_stock(self) -> set[str]:
        return {one for one, job in self.model.jobs.items() if job.score is None and job.status not in TERMINAL}

    def _of_job(self, one: str) -> dict[str, Any]:
        job = self.model.jobs[one]
        found: dict[str, Any] = {"has_payload": job.has_payload}
        if job.status is not None:
            found |= {"status": job.status, "queue": job.queue}
        if job.status == "running":
            found["token"] = job.token
        if job.score is not None:
            found["score"] = job.score
        if job.holder is not None:
            found["holder"] = job.holder
        if job.attempts:
            found["attempts"] = job.attempts
        if job.result_until is not None:
            found["has_result"] = True
        return found

    def _of_all(self) -> dict[str, Any]:
        known = {one: job for one, job in self.model.jobs.items() if job.status is not None}
        lists = {keys.JOBS + status: {one for one, job in known.items() if job.status == status} for status in STATUSES}
        return {
            **lists,
            **{
                keys.OF_QUEUE + queue: {one for one, job in known.items() if job.queue == queue}
                for queue in (*QUEUES, CALLBACKS)
            },
            keys.OF_FUNCTION + "t.f": {one for one, job in known.items() if job.function is not None},
            keys.WITH_TAG + "x": {one for one, job in known.items() if job.tag is not None},
            **{
                keys.WITH_ERROR + error: {one for one, job in known.items() if error in job.errors}
                for error in (*ERRORS, lost_error("t.f"), lost_error(None))
            },
            keys.DUE: {one for one, job in known.items() if job.status in WAITING},
            keys.EXPIRES: {one for one, job in known.items() if job.expires is not None},
            keys.ARQ_ABORT: set(self.model.aborting),
            **{keys.RUNNING + worker: set(self.model.held(worker)) for worker in WORKERS},
            **{
                keys.RUNNING_ON + queue: {one for one, job in known.items() if job.is_live and job.queue == queue}
                for queue in QUEUES
            },
            "told": Counter(self.model.told),
        }

    async def _read(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Return what is stored, of each job and in each set."""
        callbacks = [one for one in self.model.jobs if one not in IDS]
        ids, pipe = [*IDS, *callbacks], self.redis.pipeline(transaction=False)
        for one in ids:
            pipe.hmget(keys.RECORD + one, "status", "queue", "token")
            pipe.mget(keys.ARQ_JOB + one, keys.ARQ_IN_PROGRESS + one, keys.ARQ_RETRY + one, keys.ARQ_RESULT + one)
            for queue in (*QUEUES, CALLBACKS):
                pipe.zscore(keys.queue_key(queue), one)
        names = [name for name in self._of_all() if name != "told"]
        for name in names:
            pipe.zrangebyscore(name, f"({self.store.now}" if name.startswith(keys.RUNNING_ON) else "-inf", "+inf")
        for worker in WORKERS:
            pipe.lrange(keys.INBOX + worker, 0, -1)
        rows, width = await pipe.execute(), 3 + len(QUEUES)
        stored = {one: _found(*rows[width * i : width * (i + 1)]) for i, one in enumerate(ids)}
        sets: dict[str, Any] = {
            name: {one.decode() for one in row} for name, row in zip(names, rows[width * len(ids) :], strict=False)
        }
        said = [
            (worker, one.decode()) for worker, row in zip(WORKERS, rows[-len(WORKERS) :], strict=True) for one in row
        ]
        return stored, {**sets, "told": Counter(one for one in said if one[1].startswith("lost "))}


def _found(record: list[bytes | None], arq: list[bytes | None], *scores: float | None) -> dict[str, Any]:
    status, queue, token = (value.decode() if value else None for value in record)
    payload, holder, retry, result = arq
    [*in_queues] = [score for score in scores if score is not None]

    assert len(in_queues) <= 1, "a job is in two queues"
    found: dict[str, Any] = {"status": status, "queue": queue, "token": token if status == "running" else None}
    found |= {"score": int(in_queues[0]) if in_queues else None, "holder": holder.decode() if holder else None}
    found |= {"attempts": int(retry) if retry else None, "has_result": True if result else None}
    found = {name: value for name, value in found.items() if value is not None}
    return {**found, "has_payload": payload is not None} if found or payload else {}


async def _awaited(coroutine: Any) -> Any:
    return await coroutine


@pytest.mark.timeout(3600)
def test_the_scripts_do_what_the_model_says(redis_server: Any, request: pytest.FixtureRequest) -> None:
    """No history of enqueueing, claiming, dying, aborting and the rest loses a job, runs one twice, or leaks a key."""
    wanted = request.config.getoption("--model-examples", None)
    steps = request.config.getoption("--model-steps", None) or 50
    machine = type("ScriptsHere", (Scripts,), {"url": redis_server.url})
    profile = settings(
        max_examples=wanted or 100,
        stateful_step_count=steps,
        derandomize=not wanted,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )

    run_state_machine_as_test(machine, settings=profile)
