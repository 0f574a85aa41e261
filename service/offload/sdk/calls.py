"""The calls about everything but one job, as plans: searches, bulk, functions, queues, schedules, workers."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, Unpack
from urllib.parse import quote

from offload.documents.fleet import AuditEntry, StatsDocument, WorkerDocument
from offload.documents.functions import FunctionDocument, MovableTo
from offload.documents.jobs import BulkDocument, JobDocument, JobSummary
from offload.documents.queues import QueueDocument
from offload.documents.schedules import ScheduleDocument
from offload.documents.stalls import StallDocument, StallGroupDocument
from offload.sdk.effects import Emit, Plan, Request, Stream
from offload.sdk.encoding import as_json, as_members, as_query
from offload.sdk.events import Event
from offload.sdk.jobs import JobCalls
from offload.sdk.options import Filter, StallFilter
from offload.sdk.retrying import listen

PAGE = 200
"""So many items are fetched at a time."""
BULK = 10_000
"""So many jobs one call changes at most."""
BULK_S = 5.0
"""So long the service takes for that, at most, beyond what any answer may take."""
Functions: TypeAlias = list[FunctionDocument]
Queues: TypeAlias = list[QueueDocument]
Schedules: TypeAlias = list[ScheduleDocument]
Stalls: TypeAlias = list[StallDocument]
Workers: TypeAlias = list[WorkerDocument]


class Calls(JobCalls):
    """All calls; each method is the plan of one."""

    def list(self, **which: Unpack[Filter]) -> Stream[JobSummary]:
        """Iterate over jobs, newest first: all, or those that fit all that is said; a page is fetched when needed."""
        return self._items("/v1/jobs", which)

    def retry_all(
        self, *, dry_run: bool = False, limit: int | None = None, **which: Unpack[Filter]
    ) -> Plan[BulkDocument]:
        """Put back all dead and aborted jobs that fit, and have deferred and retrying ones run now; or only count them.

        At least one field of the filter has to be given. With a `limit`, up to 10,000, the newest of them; without, it
        goes on until none is left, in steps. Not repeated when an answer is lost. Raises InvalidCall.
        """
        return self._bulk("/v1/jobs:retry", which, limit, dry_run=dry_run)

    def abort_all(
        self, *, dry_run: bool = False, limit: int | None = None, **which: Unpack[Filter]
    ) -> Plan[BulkDocument]:
        """Stop all jobs that fit and have not ended, or only count them; as `retry_all` otherwise."""
        return self._bulk("/v1/jobs:abort", which, limit, dry_run=dry_run)

    def functions(self) -> Plan[Functions]:
        """Return all job functions, with their schemas and policies."""
        return self._whole(Request("GET", "/v1/functions"))

    def function(self, name: str) -> Plan[FunctionDocument]:
        """Return one job function. Raises UnknownFunction."""
        return self._json(Request("GET", f"/v1/functions/{quote(name, safe='')}"))

    def move_function(self, name: str, runs_in: MovableTo | None) -> Plan[FunctionDocument]:
        """Run a `def` job function in a thread or a process from its next start on; None: where its code says.

        It holds over restarts, and over the whole fleet. Raises UnknownFunction; Conflict where it cannot run there.
        """
        return self._json(
            Request("POST", f"/v1/functions/{quote(name, safe='')}", content=as_json({"runs_in": runs_in}))
        )

    def queues(self) -> Plan[Queues]:
        """Return all queues: how deep each is, what runs, whether it is paused."""
        return self._whole(Request("GET", "/v1/queues"))

    def queue(self, name: str) -> Plan[QueueDocument]:
        """Return one queue. Raises NotFound."""
        return self._json(Request("GET", _queue(name)))

    def pause_queue(self, name: str) -> Plan[QueueDocument]:
        """Let the jobs of a queue wait; what runs goes on. Raises NotFound."""
        return self._json(Request("POST", f"{_queue(name)}/pause"))

    def resume_queue(self, name: str) -> Plan[QueueDocument]:
        """Let the jobs of a queue start again. Raises NotFound."""
        return self._json(Request("POST", f"{_queue(name)}/resume"))

    def schedules(self) -> Plan[Schedules]:
        """Return all schedules, each with when it is due next."""
        return self._whole(Request("GET", "/v1/schedules"))

    def schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Return one schedule. Raises NotFound."""
        return self._json(Request("GET", _schedule(name)))

    def pause_schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Let the ticks of a schedule go by. Raises NotFound."""
        return self._json(Request("POST", f"{_schedule(name)}/pause"))

    def resume_schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Let a schedule fire again, from its next tick on. Raises NotFound."""
        return self._json(Request("POST", f"{_schedule(name)}/resume"))

    def run_schedule(self, name: str) -> Plan[JobDocument]:
        """Fire a schedule now, beside its times, and return the job.

        Not repeated when its answer is lost, for it would fire again. Raises NotFound.
        """
        return self._json(Request("POST", f"{_schedule(name)}/run", is_repeatable=False))

    def workers(self) -> Plan[Workers]:
        """Return the live workers, each as it describes itself."""
        return self._whole(Request("GET", "/v1/workers"))

    def stats(self) -> Plan[StatsDocument]:
        """Return how many jobs there are of each status, and how each function's jobs ended in the last 24 hours."""
        return self._json(Request("GET", "/v1/stats"))

    def stalls(self, **which: Unpack[StallFilter]) -> Stream[StallDocument]:
        """Iterate over what held an event loop of the service for too long, newest first; or over what fits."""
        return self._items("/v1/stalls", which)

    def ongoing_stalls(self) -> Plan[Stalls]:
        """Return what holds an event loop just now, the longest first."""
        return (yield from self._json(Request("GET", "/v1/stalls", as_query({"limit": 1}))))["ongoing"]  # type: ignore[no-any-return]

    def stall_groups(self) -> Stream[StallGroupDocument]:
        """Iterate over what held event loops by cause, what took most time in all first."""
        return self._items("/v1/stalls/groups", {})

    def clear_stalls(self) -> Plan[int]:
        """Forget the stalls that are listed, and their groups; return how many were listed."""
        return (yield from self._json(Request("DELETE", "/v1/stalls")))["cleared"]  # type: ignore[no-any-return]

    def audit(self, *, action: str | None = None, who: str | None = None) -> Stream[AuditEntry]:
        """Iterate over who did what, newest first; of one action (`job.abort`), or of one key, where that is said."""
        return self._items("/v1/audit", {"action": action, "who": who})

    def feed(
        self,
        *,
        functions: Sequence[str] = (),
        queues: Sequence[str] = (),
        names: Sequence[str] = (),
        last_event_id: str = "",
    ) -> Stream[Event]:
        """Iterate over what happens to all jobs, or those of some functions or queues, from now on and without end.

        `names` are the names of events, such as `dead`. A connection that is cut is made again, and goes on after the
        last event that came. An event `missed` says that some were lost.
        """
        wanted = as_query({"function": functions, "queue": queues, "event": names})
        return listen(Request("GET", "/v1/events", wanted), self._patience, last_event_id)

    def _items(self, path: str, query: Mapping[str, Any]) -> Stream[Any]:
        cursor: str | None = None
        while True:
            params = as_query({**query, "limit": PAGE, "cursor": cursor})
            page = yield from self._json(Request("GET", path, params))
            for item in page["items"]:
                yield Emit(item)
            cursor = page["next"]
            if cursor is None:
                return

    def _bulk(self, path: str, which: Mapping[str, Any], limit: int | None, *, dry_run: bool) -> Plan[BulkDocument]:
        asked = {"filter": as_members(which), "dry_run": dry_run, "limit": limit or BULK}
        request = Request("POST", path, content=as_json(asked), hold=BULK_S, is_repeatable=dry_run)
        all_done: BulkDocument = yield from self._json(request)
        step = all_done
        while limit is None and not dry_run and step["more"] and step["done"]:
            step = yield from self._json(request)
            all_done["matched"] += step["matched"]
            all_done["done"] += step["done"]
            all_done["more"] = step["more"]
        return all_done


def _queue(name: str) -> str:
    return f"/v1/queues/{quote(name, safe='')}"


def _schedule(name: str) -> str:
    return f"/v1/schedules/{quote(name, safe='')}"
