"""Options and filters of calls; times are datetimes with a time zone, or RFC 3339."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypeAlias

from typing_extensions import TypedDict

from offload.documents.jobs import Status

Moment: TypeAlias = datetime | str


class Options(TypedDict, total=False):
    """What may be said about one job beside its arguments; durations in seconds.

    `delay` or `run_at`: start no earlier. `deadline`: dead when not finished by then. `queue`, `max_tries`, `timeout`
    (of one attempt), `keep_result`: instead of the function's own. `priority`: 0 to 9, higher first. `tags`: to find
    it by. `callback_url`: is told, signed, how the job ended. `unique_key`: while a job of this function and key is
    active, that one is the answer and none is added; with `unique_for`, for so long even when it has ended.
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
    """Which jobs: those that fit all that is given. `error` is a fingerprint, as in `job["error"]["fingerprint"]`."""

    status: Status
    function: str
    queue: str
    tag: str
    error: str
    enqueued_after: Moment
    enqueued_before: Moment


class StallFilter(TypedDict, total=False):
    """Which stalls: those that fit all that is given. `fingerprint` is that of another of the same cause."""

    kind: str
    function: str
    route: str
    worker: str
    job_id: str
    fingerprint: str
    after: Moment
    before: Moment
