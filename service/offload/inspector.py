"""The read side: jobs, results, events, queues, workers. Writing is `offload.client`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Literal

from offload.domain import executors
from offload.domain.artifacts import Artifact
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import JobFailed, NotFinished, NotFound, ResultExpired, Unavailable, Unreadable
from offload.domain.events import Event, EventFilter
from offload.domain.explanations import Explanation, explain
from offload.domain.filters import Filter, StallFilter
from offload.domain.overrides import Override
from offload.domain.records import (
    FleetMetrics,
    FunctionStats,
    JobRecord,
    Page,
    Point,
    QueueState,
    ScheduleView,
    StallGroup,
)
from offload.domain.schedules import Schedule
from offload.domain.states import Status
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.feed import follow
from offload.store.feed.stream import Feed
from offload.store.fleet import audit, overrides, queues, schedules, stalls, stats, workers
from offload.store.fleet import explain as facts
from offload.store.fleet.schedules import ScheduleState
from offload.store.jobs import artifacts
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.records import Records

_MOST_QUEUES = 500  # in metrics
_LOOK_AGAIN_S = 5.0  # while waiting for an event: a feed that was cut off must not strand a waiter


class Inspector:
    """Reads; changes nothing."""

    def __init__(
        self, redis: RedisClient, records: Records, feed: Feed, files: ArtifactFiles, catalogue: Catalogue
    ) -> None:
        self._redis = redis
        self._records = records
        self._feed = feed
        self._files = files
        self.catalogue = catalogue

    async def get(self, job_id: str) -> JobRecord:
        """Return one job with its failed attempts and log lines; raises NotFound."""
        record = await self._records.get(job_id, now_ms())
        if record is None:
            raise NotFound("job", job_id)
        return record

    async def get_many(self, ids: Sequence[str]) -> list[JobRecord]:
        """Return the jobs of these ids that are still kept, in their order, without history."""
        return await self._records.get_many(list(ids), now_ms())

    async def list_jobs(self, which: Filter = Filter(), limit: int = 50, cursor: str | None = None) -> Page:  # noqa: B008 - a value
        """Return a page of the jobs that match, newest first; `cursor` is the `next` of the page before.

        Raises InvalidOptions for an invalid cursor.
        """
        items, follow = await self._records.list_jobs(which, limit, cursor, now_ms())
        return Page(tuple(items), follow)

    async def result(self, job_id: str) -> bytes:
        """Return the result as raw JSON; raises NotFound, NotFinished, ResultExpired, JobFailed, Unreadable."""
        record = await self.get(job_id)
        if not record.status.is_terminal:
            msg = f"job {job_id} is {record.status}; its result comes when it has succeeded"
            raise NotFinished(msg)
        if record.status is not Status.SUCCEEDED:
            raise JobFailed(job_id, record.status, record.error)
        if record.missing_key is not None:
            raise Unreadable("result", job_id, record.missing_key)
        if record.result is None:
            msg = f"the result of job {job_id} is no longer kept"
            raise ResultExpired(msg)
        return record.result

    async def wait(self, job_id: str, timeout: float | None = None) -> JobRecord:
        """Return the job when it has ended, or as it is after `timeout` seconds; raises NotFound."""
        loop = asyncio.get_running_loop()
        ends = None if timeout is None else loop.time() + timeout
        async with self._feed.listen(wanted=EventFilter(job_id, names=follow.ENDINGS)) as reader:
            while True:
                record = await self.get(job_id)
                left = _LOOK_AGAIN_S if ends is None else min(_LOOK_AGAIN_S, ends - loop.time())
                if record.status.is_terminal or left <= 0:
                    return record
                await reader.next(left)

    def events(
        self, job_id: str, after: str | None = None, keep_alive: float = 15.0
    ) -> AsyncGenerator[Event | None, None]:
        """Yield the job's state, then its events up to its end; None after `keep_alive` s without events.

        `after` is the id of the last event that a reader received: it gets the events after that, or `missed` and the
        state if the feed does not hold all of them. A slow reader gets `missed` in place of the events it lost. Raises
        InvalidOptions, NotFound, Unavailable.
        """
        return follow.one_job(self._feed, self.get, job_id, after, keep_alive)

    def all_events(
        self, wanted: EventFilter, after: str | None = None, keep_alive: float = 15.0
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the wanted events of all jobs, in lists; [] after `keep_alive` s without events.

        The first list is empty; it comes as soon as no event can be missed. `after` and `missed` are as for `events`.
        Raises InvalidOptions, Unavailable.
        """
        return follow.all_jobs(self._feed, wanted, after, keep_alive)

    async def explain(self, job_id: str) -> Explanation:
        """Explain why a job has its state and place; raises NotFound."""
        return explain(await facts.gather(self._redis, await self.get(job_id)))

    async def queues(self) -> list[QueueState]:
        """Return every queue that is declared or was ever used."""
        names = await queues.known(self._redis) | set(self.catalogue.queue_names)
        return await queues.states(self._redis, names, now_ms())

    async def queue(self, name: str) -> QueueState:
        """Return one queue that is declared or was ever used; raises NotFound."""
        if name not in self.catalogue.queue_names and name not in await queues.known(self._redis):
            raise NotFound("queue", name)
        (state,) = await queues.states(self._redis, [name], now_ms())
        return state

    async def schedules(self) -> list[ScheduleView]:
        """Return the schedules of the code, by name."""
        plans = [self.catalogue.schedules[name] for name in sorted(self.catalogue.schedules)]
        states = await schedules.states(self._redis, [plan.name for plan in plans])
        return [_schedule_view(plan, state) for plan, state in zip(plans, states, strict=True)]

    async def schedule(self, name: str) -> ScheduleView:
        """Return one schedule of the code; raises NotFound."""
        if name not in self.catalogue.schedules:
            raise NotFound("schedule", name)
        return _schedule_view(self.catalogue.schedules[name], await schedules.state(self._redis, name))

    async def workers(self) -> list[dict[str, Any]]:
        """Return the live workers."""
        return await workers.everyone(self._redis)

    async def clock_ms(self) -> int:
        """Return the time by the clock of Redis, in ms; heartbeats of workers are timed by it."""
        return await workers.clock_ms(self._redis)

    async def artifact(self, artifact_id: str) -> tuple[Artifact, Path]:
        """Return the description and the path of a file that a job made; raises NotFound."""
        path = self._files.path(artifact_id)
        artifact = await artifacts.find(self._redis, artifact_id)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("artifact", artifact_id)
        return artifact, path

    async def overrides(self) -> dict[str, Override]:
        """Return the functions that were moved at run time, each with person and time."""
        return await overrides.everything(self._redis)

    async def recent(self) -> dict[str, FunctionStats]:
        """Return the endings and the mean run time of each function in the last 24 hours."""
        return await stats.recent(self._redis, now_ms())

    async def series(self, step: Literal["minute", "hour"]) -> list[Point]:
        """Return how attempts ended in each of the last 60 minutes or 24 hours, oldest first."""
        return await stats.series(self._redis, now_ms(), step)

    async def fleet_metrics(self) -> FleetMetrics:
        """Return the fleet's metrics for a scrape; the cost is bounded, however many jobs and queues there are."""
        names = sorted(await queues.known(self._redis) - set(self.catalogue.queue_names))
        shown = [*self.catalogue.queue_names, *names][:_MOST_QUEUES]
        endings, ran_ms, over_budget = await stats.totals(self._redis)
        live = await workers.everyone(self._redis)
        return FleetMetrics(
            statuses=await stats.counts_by_status(self._redis),
            queues=tuple(await queues.states(self._redis, shown, now_ms())),
            endings=endings,
            ran_ms=ran_ms,
            over_budget=over_budget,
            workers=len(live),
            slots=sum(int(about.get("slots") or 0) for about in live),
            running=sum(int(about.get("running") or 0) for about in live),
            stalls=await stalls.totals(self._redis),
            ongoing=len(await stalls.ongoing(self._redis, now_ms())),
            loops=tuple(about["loop"] for about in live if isinstance(about.get("loop"), dict)),
            executors=executors.total(live),
        )

    async def audit(
        self, limit: int, cursor: str | None = None, action: str | None = None, who: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of the audit, newest first, and the cursor of the next; raises InvalidOptions."""
        return await audit.list_entries(self._redis, limit, cursor, action, who)

    async def stalls(
        self,
        limit: int,
        cursor: str | None = None,
        which: StallFilter = StallFilter(),  # noqa: B008 - a value
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of stalls, newest first, and the cursor of the next; raises InvalidOptions."""
        return await stalls.list_stalls(self._redis, limit, cursor, which)

    async def ongoing_stalls(self, which: StallFilter = StallFilter()) -> list[dict[str, Any]]:  # noqa: B008 - a value
        """Return the stalls under way, the longest first."""
        return await stalls.ongoing(self._redis, now_ms(), which)

    async def stall_groups(self, limit: int, cursor: str | None = None) -> tuple[list[StallGroup], str | None]:
        """Return a page of stalls by cause, most time held first, and the cursor of the next; raises InvalidOptions."""
        return await stalls.groups(self._redis, limit, cursor)

    async def stats(self) -> dict[str, Any]:
        """Return counts by status, the queues' depths, and endings by function over the last 24 hours."""
        return await stats.summary(self._redis, now_ms())

    async def ready(self) -> None:
        """Raise Unavailable unless Redis answers within a second."""
        try:
            async with asyncio.timeout(1.0):
                with reaching_redis():
                    await self._redis.ping()
        except TimeoutError:
            msg = "Redis did not answer within 1 s"
            raise Unavailable(msg) from None


def _schedule_view(plan: Schedule, state: ScheduleState) -> ScheduleView:
    return ScheduleView(
        name=plan.name,
        function=plan.function,
        plan=plan.describe(),
        timezone=plan.timezone,
        next_ms=state.next_ms,
        last_ms=state.last_ms,
        last_job=state.last_job,
        paused=state.paused,
    )
