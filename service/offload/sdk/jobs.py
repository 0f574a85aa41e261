"""The calls about jobs, as plans: put them in, wait for them, follow them, stop them."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any, TypeAlias, Unpack
from urllib.parse import quote

from offload.documents.explanations import ExplanationDocument
from offload.documents.jobs import JobDocument, JobSummary
from offload.sdk.effects import Pause, Plan, Reply, Request, Stream
from offload.sdk.encoding import as_json, as_members, as_query
from offload.sdk.errors import JobFailed, WaitTimeout, stranger
from offload.sdk.events import ENDED, Event
from offload.sdk.options import NewJob, Options
from offload.sdk.retrying import RetryPolicy, ask, listen

BATCH = 1000
"""So many jobs the service takes at once, all of them or none."""
STEP_S = 30.0
"""So long an answer is held at most. The service would hold it for 60 s, but many proxies would not."""
Jobs: TypeAlias = list[JobSummary]


class JobCalls:
    """Each method is the plan of one call; `Offload` and `OffloadSync` have them as methods of their own."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience

    def enqueue(
        self,
        function: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        wait: float | None = None,
        **options: Unpack[Options],
    ) -> Plan[JobDocument]:
        """Put one job in and return it; it is durable then. `args` are the arguments of the function, by name.

        However often the call is repeated, it adds one job: an idempotency key goes with it, by which the service knows
        it again for 24 hours. Give one of your own where another process may make the same call.
        With `wait`, up to 60 seconds, the job is returned when it has ended, if it does so in time.
        Raises UnknownFunction, InvalidArguments, InvalidCall, KeyReused.
        """
        said = {"tag" if name == "tags" else name: value for name, value in options.items()}
        query = as_query({**said, "wait": wait})
        path = f"/v1/functions/{quote(function, safe='')}/jobs"
        return self._json(Request("POST", path, query, as_json(args or {}), self._key(idempotency_key), wait or 0))

    def enqueue_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> Plan[Jobs]:
        """Put many jobs in, of any functions, and return them in their order.

        Up to 1,000 are stored all or none. More are stored in steps of 1,000: what was stored stays when a later step
        is refused, and the same call with the same `idempotency_key` goes on from there. In `errors`, `jobs.3.args.to`
        is an argument of the fourth job of the step. Raises InvalidArguments, InvalidCall, KeyReused.
        """
        headers, stored = self._key(idempotency_key), Jobs()
        for step, batch in zip(count(), _batches(jobs), strict=False):
            key = {name: f"{value}-{step}" if step else value for name, value in headers.items()}
            content = as_json({"jobs": [_written(job) for job in batch]})
            answered = yield from self._json(Request("POST", "/v1/jobs", content=content, headers=key))
            stored += answered["items"]
        return stored

    def get(self, job_id: str) -> Plan[JobDocument]:
        """Return a job as it stands. Raises NotFound."""
        return self._json(Request("GET", _job(job_id)))

    def wait(self, job_id: str, timeout: float | None = None) -> Plan[JobDocument]:
        """Return a job when it has ended, well or not; without a timeout, however long that takes.

        Raises WaitTimeout, which is a TimeoutError and has the `job`; NotFound.
        """
        clock = self._patience.clock
        until = float("inf") if timeout is None else clock() + timeout
        early = 0
        while True:
            began = clock()
            step = max(0.0, min(STEP_S, until - began))
            request = Request("GET", _job(job_id), as_query({"wait": round(step, 3)}), hold=step)
            job: JobDocument = yield from self._json(request, until)
            if job["status"] in ENDED:
                return job
            if timeout is not None and clock() >= until:
                raise WaitTimeout(job, timeout)
            if clock() - began < step / 2:  # by a service that is about to stop, say
                early += 1
                yield Pause(self._patience.backoff(early))

    def result(self, job_id: str, timeout: float | None = 0) -> Plan[Any]:
        """Return the bare result of a job, after waiting for its end for up to `timeout` seconds (None: for ever).

        Raises JobFailed, which has the `job` with its error; NotFinished or WaitTimeout; ResultExpired; NotFound.
        """
        if timeout != 0:
            yield from self.wait(job_id, timeout)
        try:
            return (yield from self._json(Request("GET", f"{_job(job_id)}/result")))
        except JobFailed as failed:
            failed.job = yield from self.get(job_id)
            raise

    def events(self, job_id: str, last_event_id: str = "") -> Stream[Event]:
        """Iterate over what happens to a job: first the state it is in, at last its end.

        A connection that is cut is made again, and goes on after the last event that came. An event `missed` says that
        the service no longer had some. Raises NotFound.
        """
        return listen(Request("GET", f"{_job(job_id)}/events"), self._patience, last_event_id, until=ENDED)

    def explain(self, job_id: str) -> Plan[ExplanationDocument]:
        """Say why a job is not running: in one sentence, and as facts. Raises NotFound."""
        return self._json(Request("GET", f"{_job(job_id)}/explain"))

    def abort(self, job_id: str) -> Plan[JobDocument]:
        """Stop a job: at once where it waits, by its worker where it runs, which may take a moment.

        Raises Conflict, NotFound.
        """
        return self._json(Request("POST", f"{_job(job_id)}/abort"))

    def retry(self, job_id: str) -> Plan[JobDocument]:
        """Put a dead or aborted job back, with all its attempts, or run a deferred or retrying one now.

        Not repeated when its answer is lost, since it may run and end again meanwhile. Raises Conflict, NotFound.
        """
        return self._json(Request("POST", f"{_job(job_id)}/retry", is_repeatable=False))

    def forget(self, job_id: str) -> Plan[None]:
        """Remove a job that has ended, with its result and its record. Raises Conflict, NotFound."""
        yield from ask(Request("DELETE", _job(job_id), done_when_repeated=frozenset({404})), self._patience)

    def artifact(self, artifact_id: str) -> Plan[bytes]:
        """Return a file that a job made, whole. Raises NotFound."""
        request = Request("GET", f"/v1/artifacts/{quote(artifact_id, safe='')}")
        return (yield from ask(request, self._patience)).content

    def _key(self, given: str | None) -> dict[str, str]:
        """Return the header by which the service knows a call again; none where the call is never repeated."""
        if given is None and not self._patience.retries:
            return {}
        return {"Idempotency-Key": given or secrets.token_hex(16)}

    def _json(self, request: Request, until: float = float("inf")) -> Plan[Any]:
        return _parsed((yield from ask(request, self._patience, until)))

    def _whole(self, request: Request) -> Plan[Any]:
        """Ask for a list that has one page."""
        return (yield from self._json(request))["items"]


def _parsed(answer: Reply) -> Any:
    """Return the JSON of an answer; raises ServiceFault where it is something else, such as the page of a proxy."""
    try:
        return json.loads(answer.content)
    except ValueError:
        raise stranger(answer, "JSON") from None


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _batches(jobs: Iterable[NewJob]) -> Iterator[list[NewJob]]:
    left = iter(jobs)
    while batch := list(islice(left, BATCH)):
        yield batch


def _written(job: NewJob) -> dict[str, Any]:
    return {"function": job["function"], "args": job.get("args", {}), "options": as_members(job.get("options", {}))}
