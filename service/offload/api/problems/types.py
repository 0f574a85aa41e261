"""The problem types (RFC 9457): one table from error class to status, type, title and meaning."""

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
    """One problem type: its `type` is `/problems/<slug>`, a page that shows `about`; slugs are stable."""

    slug: str
    status: int
    title: str
    about: str

    @property
    def uri(self) -> str:
        """The `type` of RFC 9457, a reference relative to the API."""
        return f"/problems/{self.slug}" if self.slug else "about:blank"


INTERNAL = Kind(
    "internal-error", 500, "Internal error", "An error in the service. Its log has the details under `request_id`."
)
NO_PATH = Kind("unknown-path", 404, "Path not found", "There is no resource at this path. `/docs` lists all paths.")
WRONG_METHOD = Kind(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The path does not support this method; `Allow` lists those that it does.",
)
INVALID_PARAMETERS = Kind(
    "invalid-parameters",
    422,
    "Invalid parameters",
    "A query parameter or header is unknown or invalid. `errors` lists each where it is known.",
)

MALFORMED = Kind("malformed-http", 400, "Malformed HTTP", "The data received is not a valid HTTP/1.1 request.")
BUSY = Kind(
    "too-many-connections",
    503,
    "Too many connections",
    "This process is at its connection limit. Retry after `Retry-After` seconds.",
)
STOPPING = Kind(
    "stopping",
    503,
    "Stopping",
    "This process is shutting down. Retry after `Retry-After` seconds.",
)

TABLE: dict[type[OffloadError], Kind] = {
    BodyNotJson: Kind(
        "malformed-json", 400, "Malformed JSON", "The body is not valid JSON; `detail` gives the position."
    ),
    Unauthorized: Kind(
        "unauthorized",
        401,
        "Unauthorized",
        "No API key, or an invalid or revoked one. Send a key as `Authorization: Bearer <key>`.",
    ),
    InsufficientScope: Kind(
        "insufficient-scope",
        403,
        "Insufficient scope",
        "The key is valid but lacks the required scope, given in `detail`.",
    ),
    CrossSite: Kind(
        "cross-site-request",
        403,
        "Cross-site request",
        "A page of another origin sent this write through a browser, to an API without keys.",
    ),
    UnknownFunction: Kind(
        "unknown-function", 404, "Unknown job function", "No job function has this name. `GET /v1/functions` lists all."
    ),
    NotFound: Kind("not-found", 404, "Not found", "The resource does not exist, or it has expired."),
    Conflict: Kind("conflict", 409, "Conflict", "The job's status does not allow this operation."),
    NotFinished: Kind(
        "not-finished",
        409,
        "Not finished",
        "The job has no result yet. Wait for it with `GET /v1/jobs/{id}?wait=20`, or follow its events.",
    ),
    JobFailed: Kind(
        "job-failed",
        409,
        "Job failed",
        "The job is dead or aborted and has no result. Its document has the error.",
    ),
    IdempotencyKeyInUse: Kind(
        "idempotency-key-in-use",
        409,
        "Idempotency key in use",
        "The same request is in progress. Retry after `Retry-After` seconds to get its outcome.",
    ),
    JobNotKept: Kind(
        "job-not-kept",
        410,
        "Job no longer kept",
        "The job enqueued with this idempotency key has been deleted since. It is not enqueued again.",
    ),
    ResultExpired: Kind(
        "result-expired", 410, "Result expired", "The job succeeded, but its result has expired (`keep_result`)."
    ),
    BodyTooSlow: Kind(
        "request-timeout",
        408,
        "Request timeout",
        "The request was not received completely within `OFFLOAD_REQUEST_TIMEOUT`.",
    ),
    BodyTooLarge: Kind("body-too-large", 413, "Body too large", "The body exceeds `OFFLOAD_MAX_BODY_BYTES`."),
    WrongMediaType: Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "Send the body with `Content-Type: application/json`.",
    ),
    RangeOutside: Kind(
        "range-not-satisfiable", 416, "Range not satisfiable", "The range starts beyond the end of the file."
    ),
    UrlTooLong: Kind("uri-too-long", 414, "URI too long", "Path and query exceed 8 KiB."),
    HeadersTooLarge: Kind("headers-too-large", 431, "Headers too large", "The headers exceed 32 KiB in total."),
    Misdirected: Kind(
        "misdirected-request",
        421,
        "Misdirected request",
        "An API without keys was called by a host name that is not in `OFFLOAD_ALLOWED_HOSTS`.",
    ),
    TooManyFailures: Kind(
        "too-many-failures",
        429,
        "Too many invalid keys",
        "This address sent 10 or more invalid keys within a minute. Retry after `Retry-After` seconds.",
    ),
    InvalidArguments: Kind(
        "invalid-arguments",
        422,
        "Invalid arguments",
        "The body does not match the signature of the job function. `errors` lists each with path, message and code.",
    ),
    InvalidBatch: Kind(
        "invalid-batch",
        422,
        "Invalid batch",
        "Some jobs of the batch are invalid, so none was enqueued. `errors` lists each error of each job, with path "
        "(`jobs.3.args.to`), message and code.",
    ),
    IdempotencyKeyReused: Kind(
        "idempotency-key-reused",
        422,
        "Idempotency key reused",
        "The idempotency key was used before with another method, path, query or body. Use a new key for each request.",
    ),
    NotMovable: Kind(
        "function-not-movable",
        409,
        "Function not movable",
        "Only a `def` job function can be moved between thread and process, and to a process only if a child can "
        "import it. `detail` has the reason.",
    ),
    InvalidParameters: INVALID_PARAMETERS,
    InvalidOptions: INVALID_PARAMETERS,
    Unreadable: Kind(
        "encryption-key-missing",
        500,
        "Encryption key missing",
        "The requested data is encrypted with a key that this API does not have (`OFFLOAD_ENCRYPTION_KEYS`).",
    ),
    Unavailable: Kind(
        "redis-unavailable",
        503,
        "Redis unavailable",
        "Redis is unreachable or rejects commands. Retry after `Retry-After` seconds.",
    ),
    Unconfirmed: Kind(
        "enqueue-unconfirmed",
        503,
        "Stored, not confirmed",
        "The job is stored and may run, but replicas or disks did not confirm it in time (`OFFLOAD_ENQUEUE_REPLICAS`, "
        "`OFFLOAD_ENQUEUE_FSYNC`). `detail` has its id. Retrying with the same id does not enqueue a second one.",
    ),
}

_OTHERS = (NO_PATH, WRONG_METHOD, MALFORMED, BUSY, STOPPING, INTERNAL)
KINDS: dict[str, Kind] = {kind.slug: kind for kind in (*TABLE.values(), *_OTHERS)}
