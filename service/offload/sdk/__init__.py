"""Offload for other programs: a client of the HTTP API, with an event loop (`Offload`) or without (`OffloadSync`).

It imports nothing of the engine: it needs httpx alone. Each call is a plan without I/O (`jobs`, `calls`, `retrying`),
which both clients perform.
"""

from offload.documents.explanations import ExplanationDocument
from offload.documents.fleet import AuditEntry, ExecutorDocument, LoopDocument, StatsDocument, WorkerDocument
from offload.documents.functions import FunctionDocument
from offload.documents.jobs import AttemptDocument, BulkDocument, ErrorDocument, JobDocument, JobSummary
from offload.documents.queues import QueueDocument
from offload.documents.schedules import ScheduleDocument
from offload.documents.stalls import StallDocument, StallGroupDocument
from offload.sdk.async_client import Offload
from offload.sdk.errors import (
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
from offload.sdk.events import Event
from offload.sdk.options import Filter, NewJob, Options, StallFilter
from offload.sdk.sync_client import OffloadSync

__all__ = [
    "AttemptDocument",
    "AuditEntry",
    "BulkDocument",
    "Conflict",
    "ErrorDocument",
    "Event",
    "ExecutorDocument",
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
    "LoopDocument",
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
    "StallFilter",
    "StallGroupDocument",
    "StatsDocument",
    "TooManyCalls",
    "TryLater",
    "Unconfirmed",
    "UnknownFunction",
    "Unreachable",
    "WaitTimeout",
    "WorkerDocument",
]
