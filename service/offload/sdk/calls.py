"""All other calls, as plans: lists, bulk actions, functions, queues, schedules, workers, stalls, the audit."""

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
from offload.sdk.retrying import follow_events

PAGE = 200
"""The number of items of one page."""
BULK = 10_000
"""The largest number of jobs that one call changes."""
BULK_S = 5.0
"""The time in seconds that the service may take for it, in addition to the timeout."""
Functions: TypeAlias = list[FunctionDocument]
Queues: TypeAlias = list[QueueDocument]
Schedules: TypeAlias = list[ScheduleDocument]
Stalls: TypeAlias = list[StallDocument]
Workers: TypeAlias = list[WorkerDocument]


class Calls(JobCalls):
    """All calls; each method is the plan of one."""

    def list(self, **which: Unpack[Filter]) -> Stream[JobSummary]:
        """Iterate over the jobs that fit the filter, newest first; a page is fetched when needed."""
        return self._request_pages("/v1/jobs", which)

    def retry_all(
        self, *, dry_run: bool = False, limit: int | None = None, **which: Unpack[Filter]
    ) -> Plan[BulkDocument]:
        """Requeue all dead and aborted jobs that fit, and run deferred and retrying ones now; or only count them.

        The filter needs at least one field. With a `limit`, up to 10,000, the newest of them; without a limit it goes
        on in steps until none is left. Not repeated when an answer is lost. Raises InvalidCall.
        """
        return self._request_bulk("/v1/jobs:retry", which, limit, dry_run=dry_run)

    def abort_all(
        self, *, dry_run: bool = False, limit: int | None = None, **which: Unpack[Filter]
    ) -> Plan[BulkDocument]:
        """Abort all jobs that fit and have not ended, or only count them; otherwise as `retry_all`."""
        return self._request_bulk("/v1/jobs:abort", which, limit, dry_run=dry_run)

    def functions(self) -> Plan[Functions]:
        """Return all job functions, with their schemas and policies."""
        return self._request_items(Request("GET", "/v1/functions"))

    def function(self, name: str) -> Plan[FunctionDocument]:
        """Return one job function. Raises UnknownFunction."""
        return self._request_json(Request("GET", f"/v1/functions/{quote(name, safe='')}"))

    def move_function(self, name: str, runs_in: MovableTo | None) -> Plan[FunctionDocument]:
        """Run a `def` job function in a thread or a process from its next start on; None: as its code declares.

        This applies to the whole fleet, and survives restarts.
        Raises UnknownFunction; Conflict if it cannot run there.
        """
        return self._request_json(
            Request("POST", f"/v1/functions/{quote(name, safe='')}", content=as_json({"runs_in": runs_in}))
        )

    def queues(self) -> Plan[Queues]:
        """Return all queues: the number of waiting and running jobs of each, its limits, its pause."""
        return self._request_items(Request("GET", "/v1/queues"))

    def queue(self, name: str) -> Plan[QueueDocument]:
        """Return one queue. Raises NotFound."""
        return self._request_json(Request("GET", _queue(name)))

    def pause_queue(self, name: str) -> Plan[QueueDocument]:
        """Pause a queue: it starts no job, running jobs continue. Raises NotFound."""
        return self._request_json(Request("POST", f"{_queue(name)}/pause"))

    def resume_queue(self, name: str) -> Plan[QueueDocument]:
        """Resume a queue: its jobs start again. Raises NotFound."""
        return self._request_json(Request("POST", f"{_queue(name)}/resume"))

    def schedules(self) -> Plan[Schedules]:
        """Return all schedules, each with its next tick."""
        return self._request_items(Request("GET", "/v1/schedules"))

    def schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Return one schedule. Raises NotFound."""
        return self._request_json(Request("GET", _schedule(name)))

    def pause_schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Pause a schedule: its ticks pass without a job. Raises NotFound."""
        return self._request_json(Request("POST", f"{_schedule(name)}/pause"))

    def resume_schedule(self, name: str) -> Plan[ScheduleDocument]:
        """Resume a schedule, from its next tick on. Raises NotFound."""
        return self._request_json(Request("POST", f"{_schedule(name)}/resume"))

    def run_schedule(self, name: str) -> Plan[JobDocument]:
        """Run a schedule now, in addition to its ticks, and return the job.

        Not repeated when its answer is lost, since it would run again. Raises NotFound.
        """
        return self._request_json(Request("POST", f"{_schedule(name)}/run", is_repeatable=False))

    def workers(self) -> Plan[Workers]:
        """Return the live workers, each as of its last heartbeat."""
        return self._request_items(Request("GET", "/v1/workers"))

    def stats(self) -> Plan[StatsDocument]:
        """Return the number of jobs by status, and the endings by function in the last 24 hours."""
        return self._request_json(Request("GET", "/v1/stats"))

    def stalls(self, **which: Unpack[StallFilter]) -> Stream[StallDocument]:
        """Iterate over the stalls of event loops that fit the filter, newest first."""
        return self._request_pages("/v1/stalls", which)

    def ongoing_stalls(self) -> Plan[Stalls]:
        """Return the stalls that last, the longest first."""
        return (yield from self._request_json(Request("GET", "/v1/stalls", as_query({"limit": 1}))))["ongoing"]  # type: ignore[no-any-return]

    def stall_groups(self) -> Stream[StallGroupDocument]:
        """Iterate over the stalls by cause, the most total time first."""
        return self._request_pages("/v1/stalls/groups", {})

    def clear_stalls(self) -> Plan[int]:
        """Clear the list of stalls and their groups; return the number of stalls that were listed."""
        return (yield from self._request_json(Request("DELETE", "/v1/stalls")))["cleared"]  # type: ignore[no-any-return]

    def audit(self, *, action: str | None = None, who: str | None = None) -> Stream[AuditEntry]:
        """Iterate over the audit, newest first; of one action (`job.abort`) or one key, if set."""
        return self._request_pages("/v1/audit", {"action": action, "who": who})

    def feed(
        self,
        *,
        functions: Sequence[str] = (),
        queues: Sequence[str] = (),
        names: Sequence[str] = (),
        last_event_id: str = "",
    ) -> Stream[Event]:
        """Iterate over the events of all jobs, or of some functions or queues, from now on and without end.

        `names` are the names of events, such as `dead`. A broken connection is replaced, and continues after the last
        event. An event `missed` means that some were lost.
        """
        wanted = as_query({"function": functions, "queue": queues, "event": names})
        return follow_events(Request("GET", "/v1/events", wanted), self._policy, last_event_id)

    def _request_pages(self, path: str, query: Mapping[str, Any]) -> Stream[Any]:
        cursor: str | None = None
        while True:
            params = as_query({**query, "limit": PAGE, "cursor": cursor})
            page = yield from self._request_json(Request("GET", path, params))
            for item in page["items"]:
                yield Emit(item)
            cursor = page["next"]
            if cursor is None:
                return

    def _request_bulk(
        self, path: str, which: Mapping[str, Any], limit: int | None, *, dry_run: bool
    ) -> Plan[BulkDocument]:
        body = {"filter": as_members(which), "dry_run": dry_run, "limit": limit or BULK}
        request = Request("POST", path, content=as_json(body), hold=BULK_S, is_repeatable=dry_run)
        all_done: BulkDocument = yield from self._request_json(request)
        step = all_done
        while limit is None and not dry_run and step["more"] and step["done"]:
            step = yield from self._request_json(request)
            all_done["matched"] += step["matched"]
            all_done["done"] += step["done"]
            all_done["more"] = step["more"]
        return all_done


def _queue(name: str) -> str:
    return f"/v1/queues/{quote(name, safe='')}"


def _schedule(name: str) -> str:
    return f"/v1/schedules/{quote(name, safe='')}"
