"""Calls on jobs, as plans: enqueue, wait, follow, abort."""

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
from offload.sdk.errors import JobFailed, WaitTimeout, unexpected_answer
from offload.sdk.events import ENDED, Event
from offload.sdk.options import NewJob, Options
from offload.sdk.retrying import RetryPolicy, follow_events, send_with_retries

BATCH = 1000
"""The number of jobs that the service takes at once, all or none."""
STEP_S = 30.0
"""The longest time for which an answer is held: the service allows 60 s, many proxies do not."""
Jobs: TypeAlias = list[JobSummary]


class JobCalls:
    """Each method is the plan of one call; `Offload` and `OffloadSync` have methods of the same names."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def enqueue(
        self,
        function: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        wait: float | None = None,
        **options: Unpack[Options],
    ) -> Plan[JobDocument]:
        """Enqueue one job and return it; it is stored then. `args` are the arguments of the function, by name.

        However often the call is repeated, it adds one job: the service recognises its idempotency key for 24 hours.
        Give your own key if another process may make the same call.
        With `wait`, up to 60 seconds, the job is returned once it has ended, if it ends in time.
        Raises UnknownFunction, InvalidArguments, InvalidCall, KeyReused.
        """
        named = {"tag" if name == "tags" else name: value for name, value in options.items()}
        query = as_query({**named, "wait": wait})
        path = f"/v1/functions/{quote(function, safe='')}/jobs"
        return self._request_json(
            Request("POST", path, query, as_json(args or {}), self._key(idempotency_key), wait or 0)
        )

    def enqueue_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> Plan[Jobs]:
        """Enqueue many jobs, of any functions, and return them in their order.

        Up to 1,000 are stored all or none. More are stored in steps of 1,000: earlier steps stay when a later step is
        refused, and the same call with the same `idempotency_key` continues from there. In `errors`, `jobs.3.args.to`
        is an argument of the fourth job of the step. Raises InvalidArguments, InvalidCall, KeyReused.
        """
        headers, stored = self._key(idempotency_key), Jobs()
        for step, batch in zip(count(), _batches(jobs), strict=False):
            key = {name: f"{value}-{step}" if step else value for name, value in headers.items()}
            content = as_json({"jobs": [_written(job) for job in batch]})
            answered = yield from self._request_json(Request("POST", "/v1/jobs", content=content, headers=key))
            stored += answered["items"]
        return stored

    def get(self, job_id: str) -> Plan[JobDocument]:
        """Return the present state of a job. Raises NotFound."""
        return self._request_json(Request("GET", _job(job_id)))

    def wait(self, job_id: str, timeout: float | None = None) -> Plan[JobDocument]:
        """Return a job once it has ended, in success or not; without a timeout, wait for ever.

        Raises WaitTimeout, which is a TimeoutError and has the `job`; NotFound.
        """
        clock = self._policy.clock
        until = float("inf") if timeout is None else clock() + timeout
        early = 0
        while True:
            began = clock()
            step = max(0.0, min(STEP_S, until - began))
            request = Request("GET", _job(job_id), as_query({"wait": round(step, 3)}), hold=step)
            job: JobDocument = yield from self._request_json(request, until)
            if job["status"] in ENDED:
                return job
            if timeout is not None and clock() >= until:
                raise WaitTimeout(job, timeout)
            if clock() - began < step / 2:  # for example by a service that is stopping
                early += 1
                yield Pause(self._policy.backoff(early))

    def result(self, job_id: str, timeout: float | None = 0) -> Plan[Any]:
        """Return the bare result of a job, after waiting for its end for up to `timeout` seconds (None: no limit).

        Raises JobFailed, which has the `job` with its error; NotFinished or WaitTimeout; ResultExpired; NotFound.
        """
        if timeout != 0:
            yield from self.wait(job_id, timeout)
        try:
            return (yield from self._request_json(Request("GET", f"{_job(job_id)}/result")))
        except JobFailed as failed:
            failed.job = yield from self.get(job_id)
            raise

    def events(self, job_id: str, last_event_id: str = "") -> Stream[Event]:
        """Iterate over the events of a job: first its present state, finally its end.

        A broken connection is replaced, and continues after the last event. An event `missed` means that the service
        no longer had some events. Raises NotFound.
        """
        return follow_events(Request("GET", f"{_job(job_id)}/events"), self._policy, last_event_id, until=ENDED)

    def explain(self, job_id: str) -> Plan[ExplanationDocument]:
        """Explain why a job is not running: in one sentence, and as facts. Raises NotFound."""
        return self._request_json(Request("GET", f"{_job(job_id)}/explain"))

    def abort(self, job_id: str) -> Plan[JobDocument]:
        """Abort a job: at once while it waits; by its worker while it runs, which may take a moment.

        Raises Conflict, NotFound.
        """
        return self._request_json(Request("POST", f"{_job(job_id)}/abort"))

    def retry(self, job_id: str) -> Plan[JobDocument]:
        """Requeue a dead or aborted job, with all its attempts, or run a deferred or retrying one now.

        Not repeated when its answer is lost, since the job may have ended again by then. Raises Conflict, NotFound.
        """
        return self._request_json(Request("POST", f"{_job(job_id)}/retry", is_repeatable=False))

    def forget(self, job_id: str) -> Plan[None]:
        """Remove a job that has ended, with its result and its record. Raises Conflict, NotFound."""
        yield from send_with_retries(Request("DELETE", _job(job_id), done_when_repeated=frozenset({404})), self._policy)

    def artifact(self, artifact_id: str) -> Plan[bytes]:
        """Return the content of a file that a job made. Raises NotFound."""
        request = Request("GET", f"/v1/artifacts/{quote(artifact_id, safe='')}")
        return (yield from send_with_retries(request, self._policy)).content

    def _key(self, key: str | None) -> dict[str, str]:
        """Return the header by which the service recognises a call; none if the call is never repeated."""
        if key is None and not self._policy.retries:
            return {}
        return {"Idempotency-Key": key or secrets.token_hex(16)}

    def _request_json(self, request: Request, until: float = float("inf")) -> Plan[Any]:
        return _parsed((yield from send_with_retries(request, self._policy, until)))

    def _request_items(self, request: Request) -> Plan[Any]:
        """Return the items of a list that has one page."""
        return (yield from self._request_json(request))["items"]


def _parsed(answer: Reply) -> Any:
    """Return the JSON of an answer; raises ServiceFault for anything else, such as the page of a proxy."""
    try:
        return json.loads(answer.content)
    except ValueError:
        raise unexpected_answer(answer, "JSON") from None


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _batches(jobs: Iterable[NewJob]) -> Iterator[list[NewJob]]:
    left = iter(jobs)
    while batch := list(islice(left, BATCH)):
        yield batch


def _written(job: NewJob) -> dict[str, Any]:
    return {"function": job["function"], "args": job.get("args", {}), "options": as_members(job.get("options", {}))}
