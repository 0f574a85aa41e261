"""Options and filters of calls; times are datetimes with a time zone, or RFC 3339."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypeAlias

from typing_extensions import TypedDict

from offload.documents.jobs import Status

Moment: TypeAlias = datetime | str


class Options(TypedDict, total=False):
    """Options of one job; durations in seconds.

    `delay` or `run_at`: start no earlier. `deadline`: dead if not finished by then. `queue`, `max_tries`, `timeout`
    (of one attempt), `keep_result`: instead of the function's own. `priority`: 0 to 9, higher first. `tags`: labels to
    find it by. `callback_url`: gets a signed webhook when the job ends. `unique_key`: while a job of this function and
    key is active, that job is returned and none is added; with `unique_for`, for that time even after it has ended.
    """

    delay: float
    run_at: Moment
    deadline: Moment
    queue: str
    priority: int
    max_tries: int
    timeout: float
    keep_result: float
    tags: Sequence[str]
    callback_url: str
    unique_key: str
    unique_for: float


class NewJob(TypedDict):
    """One job of a batch."""

    function: str
    args: NotRequired[Mapping[str, Any]]
    options: NotRequired[Options]


class Filter(TypedDict, total=False):
    """A filter of jobs; all its fields must fit. `error` is a fingerprint, as in `job["error"]["fingerprint"]`."""

    status: Status
    function: str
    queue: str
    tag: str
    error: str
    enqueued_after: Moment
    enqueued_before: Moment


class StallFilter(TypedDict, total=False):
    """A filter of stalls; all its fields must fit. `fingerprint` is that of another stall of the same cause."""

    kind: str
    function: str
    route: str
    worker: str
    job_id: str
    fingerprint: str
    after: Moment
    before: Moment
