"""Every error that the SDK raises about a call, as one tree; a class says what the caller can do.

OffloadAPIError
├── InvalidCall              fix the call; `errors` names each wrong field
│   ├── UnknownFunction      no such job function
│   ├── InvalidArguments     the arguments do not fit its signature
│   └── KeyReused            this idempotency key was used for another call
├── NotAllowed               use another API key
├── NotFound                 there is no such job, queue, schedule, file
├── Conflict                 the state of the job does not allow this
│   ├── NotFinished          wait for it, and ask again
│   └── JobFailed            it will have no result: see `job["error"]`
├── ResultExpired            its result is no longer kept
├── TryLater                 the retries are used up: wait `retry_after` seconds
│   ├── TooManyCalls         call less often
│   ├── Unconfirmed          the job is stored, but not yet as safely as the service is configured for
│   └── Unreachable          no answer came; `status` is 0
├── WaitTimeout              (a TimeoutError) the job has not ended; `job` is its document
└── ServiceFault             report it, with `request_id`
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from offload.documents.jobs import JobDocument
from offload.sdk.effects import Lost, Reply


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a `path` such as `message.to.0`, a message, and a stable code."""

    path: str
    message: str
    code: str


class OffloadAPIError(Exception):
    """A call that did not succeed.

    `type` is stable (`/problems/not-found`, see docs/problems.md), and empty if no problem was sent. `detail` is for
    a person, `request_id` finds the call in the service's log, `retry_after` is in seconds, None without `Retry-After`.
    """

    def __init__(
        self,
        detail: str,
        *,
        type: str = "",  # noqa: A002 - the member's name in RFC 9457
        status: int = 0,
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.type = type
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(detail)

    def __str__(self) -> str:
        fields = "".join(
            f"; {one.path or '(body)'}: {one.message}" for one in self.errors if one.path not in self.detail
        )
        status = f"{self.status} " if self.status else ""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{status}{self.detail}{fields}{request}"


class InvalidCall(OffloadAPIError):
    """The call can never succeed as it is."""


class UnknownFunction(InvalidCall):
    """No job function has this name."""


class InvalidArguments(InvalidCall):
    """The arguments do not fit the signature of the job function; in a batch, of one or more of them."""


class KeyReused(InvalidCall):
    """This idempotency key was used for another call in the last 24 hours."""


class NotAllowed(OffloadAPIError):
    """The API key is missing, wrong, or does not have the scope that this call needs."""


class NotFound(OffloadAPIError):
    """It never existed, or is no longer kept."""


class Conflict(OffloadAPIError):
    """The state of the job does not allow this."""


class NotFinished(Conflict):
    """The job has no result yet."""


class JobFailed(Conflict):
    """The job is dead or aborted; `job` is its document, with `error` and `attempts`."""

    job: JobDocument | None = None


class ResultExpired(OffloadAPIError):
    """The job succeeded, but its result is no longer kept (`keep_result`)."""


class TryLater(OffloadAPIError):
    """The service cannot do this now; the call was repeated as often as `retries` allows."""


class TooManyCalls(TryLater):
    """A rate limit of the service, or of a proxy in front of it."""


class Unconfirmed(TryLater):
    """The job is stored and may run, but replicas or disks did not confirm it in time."""


class Unreachable(TryLater):
    """No answer came; the call may have reached the service."""


class WaitTimeout(OffloadAPIError, TimeoutError):
    """The job has not ended within the timeout; it continues."""

    def __init__(self, job: JobDocument, timeout: float) -> None:
        self.job = job
        super().__init__(f"job {job['id']} is still {job['status']} after {timeout:g} s")


class ServiceFault(OffloadAPIError):
    """A fault of the service, or an answer that did not come from Offload."""


_BY_SLUG: dict[str, type[OffloadAPIError]] = {
    "unknown-function": UnknownFunction,
    "invalid-arguments": InvalidArguments,
    "invalid-batch": InvalidArguments,
    "idempotency-key-reused": KeyReused,
    "idempotency-key-in-use": TryLater,
    "not-finished": NotFinished,
    "job-failed": JobFailed,
    "job-not-kept": NotFound,
    "enqueue-unconfirmed": Unconfirmed,
}
_BY_STATUS: dict[int, type[OffloadAPIError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    408: TryLater,
    409: Conflict,
    410: ResultExpired,
    429: TooManyCalls,
    502: TryLater,
    503: TryLater,
    504: TryLater,
}


def problem(reply: Reply) -> OffloadAPIError:
    """Return the error of an answer that is not a success."""
    body = _members(reply)
    slug = str(body.get("type", "")).rpartition("/")[2]
    general = InvalidCall if 400 <= reply.status < 500 else ServiceFault
    kind = _BY_SLUG.get(slug) or _BY_STATUS.get(reply.status, general)
    return kind(
        str(body.get("detail") or body.get("title") or f"the service answered {reply.status}"),
        type=str(body.get("type", "")),
        status=reply.status,
        errors=[_field(one) for one in body.get("errors") or () if isinstance(one, dict)],
        request_id=body.get("request_id") or reply.headers.get("x-request-id"),
        retry_after=retry_after(reply),
    )


def unexpected_answer(reply: Reply, expected: str) -> ServiceFault:
    """Return the error of an answer that Offload never gives."""
    why = f"the answer is not {expected}; is this the address of an Offload service?"
    return ServiceFault(why, status=reply.status, request_id=reply.headers.get("x-request-id"))


def unreachable(lost: Lost) -> Unreachable:
    """Return the error of a call without an answer."""
    return Unreachable(f"no answer from the service: {lost.why}")


def is_key_in_use(reply: Reply) -> bool:
    """Return True while an earlier call with the same idempotency key is in progress."""
    return reply.status == 409 and str(_members(reply).get("type", "")).endswith("/idempotency-key-in-use")


def retry_after(reply: Reply) -> float | None:
    """Return the seconds of `Retry-After`; None without the header or with a date (Offload sends seconds)."""
    with suppress(ValueError):
        return max(0.0, float(int(reply.headers.get("retry-after", ""))))
    return None


def _members(reply: Reply) -> dict[str, Any]:
    if "json" not in reply.headers.get("content-type", ""):
        return {}
    with suppress(ValueError):
        body = json.loads(reply.content)
        return body if isinstance(body, dict) else {}
    return {}


def _field(one: dict[str, Any]) -> FieldError:
    return FieldError(str(one.get("path", "")), str(one.get("message", "")), str(one.get("code", "")))
