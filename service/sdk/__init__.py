"""Offload for other programs: a client of the HTTP API, with an event loop (`Offload`) or without (`OffloadSync`).

It knows nothing of the engine and imports none of it: httpx is all that it needs. What a call means is said once, by a
plan without I/O (`jobs`, `fleet`, `asking`); the two clients carry the plans out.
"""

from service.sdk.asynchronous import Offload
from service.sdk.documents import (
    AttemptDocument,
    ErrorDocument,
    Event,
    Filter,
    JobDocument,
    JobSummary,
    NewJob,
    Options,
)
from service.sdk.errors import (
    Conflict,
    FieldError,
    InvalidArguments,
    InvalidCall,
    JobFailed,
    KeyReused,
    NotAllowed,
    NotFinished,
    NotFound,
    OffloadAPIError,
    ResultExpired,
    ServiceFault,
    TooManyCalls,
    TryLater,
    Unconfirmed,
    UnknownFunction,
    Unreachable,
    WaitTimeout,
)
from service.sdk.reports import (
    AuditEntry,
    BulkDocument,
    ExplanationDocument,
    FunctionDocument,
    QueueDocument,
    ScheduleDocument,
    StallDocument,
    StatsDocument,
)
from service.sdk.synchronous import OffloadSync

__all__ = [
    "AttemptDocument",
    "AuditEntry",
    "BulkDocument",
    "Conflict",
    "ErrorDocument",
    "Event",
    "ExplanationDocument",
    "FieldError",
    "Filter",
    "FunctionDocument",
    "InvalidArguments",
    "InvalidCall",
    "JobDocument",
    "JobFailed",
    "JobSummary",
    "KeyReused",
    "NewJob",
    "NotAllowed",
    "NotFinished",
    "NotFound",
    "Offload",
    "OffloadAPIError",
    "OffloadSync",
    "Options",
    "QueueDocument",
    "ResultExpired",
    "ScheduleDocument",
    "ServiceFault",
    "StallDocument",
    "StatsDocument",
    "TooManyCalls",
    "TryLater",
    "Unconfirmed",
    "UnknownFunction",
    "Unreachable",
    "WaitTimeout",
]
