"""The types of problems (RFC 9457): one table from error class to status, type, title and meaning."""

from dataclasses import dataclass

from offload.api.problems.request_errors import (
    BodyNotJson,
    BodyTooLarge,
    BodyTooSlow,
    CrossSite,
    HeadersTooLarge,
    InsufficientScope,
    InvalidParameters,
    Misdirected,
    RangeOutside,
    TooManyFailures,
    Unauthorized,
    UrlTooLong,
    WrongMediaType,
)
from offload.domain.errors import (
    Conflict,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidArguments,
    InvalidBatch,
    InvalidOptions,
    JobFailed,
    JobNotKept,
    NotFinished,
    NotFound,
    NotMovable,
    OffloadError,
    ResultExpired,
    Unavailable,
    Unconfirmed,
    UnknownFunction,
    Unreadable,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem: its `type` is `/problems/<slug>`, where `about` can be read; none of them ever changes."""

    slug: str
    status: int
    title: str
    about: str

    @property
    def uri(self) -> str:
        """The `type` of RFC 9457, a reference relative to the API."""
        return f"/problems/{self.slug}" if self.slug else "about:blank"


INTERNAL = Kind("internal-error", 500, "Internal error", "A fault of the service. The log has it under `request_id`.")
NO_PATH = Kind("unknown-path", 404, "No such path", "There is nothing at this path; `/docs` lists what there is.")
WRONG_METHOD = Kind(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The path exists, but not for this method; `Allow` has those it takes.",
)
INVALID_PARAMETERS = Kind(
    "invalid-parameters",
    422,
    "Invalid parameters",
    "A query parameter or header is unknown or out of its range; `errors` names each where it can be named.",
)

MALFORMED = Kind("malformed-http", 400, "Malformed HTTP", "What came over the connection is no HTTP/1.1 request.")
BUSY = Kind(
    "too-many-connections",
    503,
    "Too many connections",
    "This process has as many connections as it takes. Try again after `Retry-After` seconds.",
)
STOPPING = Kind(
    "stopping",
    503,
    "Stopping",
    "This process is being stopped and can hold the answer no longer. Try again after `Retry-After` seconds.",
)

TABLE: dict[type[OffloadError], Kind] = {
    BodyNotJson: Kind("malformed-json", 400, "Malformed JSON", "The body cannot be read as JSON; `detail` says where."),
    Unauthorized: Kind(
        "unauthorized", 401, "Unauthorized", "Send one of the service's keys as `Authorization: Bearer <key>`."
    ),
    InsufficientScope: Kind(
        "insufficient-scope",
        403,
        "Insufficient scope",
        "The key is right, and has not the scope that this call needs; `detail` names it.",
    ),
    CrossSite: Kind(
        "cross-site-request",
        403,
        "Cross-site request",
        "A browser sent this for a page of another origin, to an API that asks for no key.",
    ),
    UnknownFunction: Kind(
        "unknown-function", 404, "Unknown job function", "No job function has this name; `GET /v1/functions` lists all."
    ),
    NotFound: Kind("not-found", 404, "Not found", "There never was such a job or file, or it is no longer kept."),
    Conflict: Kind("conflict", 409, "Conflict", "The job is in a state that does not allow this."),
    NotFinished: Kind(
        "not-finished",
        409,
        "Not finished",
        "The job has no result yet. Wait with `GET /v1/jobs/{id}?wait=20`, or follow its events.",
    ),
    JobFailed: Kind(
        "job-failed",
        409,
        "Job failed",
        "The job is dead or aborted and will have no result; its document has the error.",
    ),
    IdempotencyKeyInUse: Kind(
        "idempotency-key-in-use",
        409,
        "Idempotency key in use",
        "The same request is under way. Send it again after `Retry-After` seconds for its outcome.",
    ),
    JobNotKept: Kind(
        "job-not-kept",
        410,
        "Job no longer kept",
        "The job that this idempotency key put in has been forgotten since. It is not put in again.",
    ),
    ResultExpired: Kind(
        "result-expired", 410, "Result expired", "The job succeeded, but its result is no longer kept (`keep_result`)."
    ),
    BodyTooSlow: Kind(
        "request-timeout", 408, "Request timeout", "The request did not come in whole within `OFFLOAD_REQUEST_TIMEOUT`."
    ),
    BodyTooLarge: Kind("body-too-large", 413, "Body too large", "The body is over `OFFLOAD_MAX_BODY_BYTES`."),
    WrongMediaType: Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "A body must be sent as `Content-Type: application/json`.",
    ),
    RangeOutside: Kind("range-not-satisfiable", 416, "Range not satisfiable", "The range begins after the file's end."),
    UrlTooLong: Kind("uri-too-long", 414, "URI too long", "Path and query are over 8 KiB."),
    HeadersTooLarge: Kind("headers-too-large", 431, "Headers too large", "The headers are over 32 KiB, all together."),
    Misdirected: Kind(
        "misdirected-request",
        421,
        "Misdirected request",
        "An API without keys was called by a host name that may be anybody's (`OFFLOAD_ALLOWED_HOSTS`).",
    ),
    TooManyFailures: Kind(
        "too-many-failures",
        429,
        "Too many wrong keys",
        "Wrong keys came from this address, 10 and more in a minute. Try again after `Retry-After` seconds.",
    ),
    InvalidArguments: Kind(
        "invalid-arguments",
        422,
        "Invalid arguments",
        "The body does not fit the signature of the job function; `errors` has path, message and code of each fault.",
    ),
    InvalidBatch: Kind(
        "invalid-batch",
        422,
        "Invalid batch",
        "Some jobs of the batch cannot be accepted, so none was; `errors` has path (`jobs.3.args.to`), message and "
        "code of each fault of each job.",
    ),
    IdempotencyKeyReused: Kind(
        "idempotency-key-reused",
        422,
        "Idempotency key reused",
        "The idempotency key came with another method, path, query or body before. Give each request a key of its own.",
    ),
    NotMovable: Kind(
        "function-not-movable",
        409,
        "Function not movable",
        "Only a `def` job function can be moved between thread and process, into a process only one that a child can "
        "import; `detail` says what would be right.",
    ),
    InvalidParameters: INVALID_PARAMETERS,
    InvalidOptions: INVALID_PARAMETERS,
    Unreadable: Kind(
        "encryption-key-missing",
        500,
        "Encryption key missing",
        "What was asked for is encrypted by a key that this API was not given (`OFFLOAD_ENCRYPTION_KEYS`).",
    ),
    Unavailable: Kind(
        "redis-unavailable",
        503,
        "Redis unavailable",
        "Redis cannot be reached or refuses to serve. Try again after `Retry-After` seconds.",
    ),
    Unconfirmed: Kind(
        "enqueue-unconfirmed",
        503,
        "Stored, not confirmed",
        "The job is stored and may run, but replicas or disks did not confirm it in time (`OFFLOAD_ENQUEUE_REPLICAS`, "
        "`OFFLOAD_ENQUEUE_FSYNC`); `detail` has its id. Trying again with the same id adds no second one.",
    ),
}

_OTHERS = (NO_PATH, WRONG_METHOD, MALFORMED, BUSY, STOPPING, INTERNAL)
KINDS: dict[str, Kind] = {kind.slug: kind for kind in (*TABLE.values(), *_OTHERS)}
