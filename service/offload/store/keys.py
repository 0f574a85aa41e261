"""Every key and prefix, in one place.

arq's keep arq's meaning and bytes; what arq has no place for lives under `offload:`.

The scripts in `lua/` build the same names; `tests/contract/test_keys.py` compares the two and the list below.
"""

from arq.constants import (
    abort_jobs_ss,
    default_queue_name,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)

from offload.domain.queues import DEFAULT_QUEUE

ARQ_JOB = job_key_prefix
ARQ_RESULT = result_key_prefix
ARQ_IN_PROGRESS = in_progress_key_prefix
ARQ_RETRY = retry_key_prefix
ARQ_ABORT = abort_jobs_ss

RECORD = "offload:job:"
ATTEMPTS = "offload:attempts:"
LOG = "offload:log:"
JOBS = "offload:jobs:"
OF_FUNCTION = "offload:jobs:function:"
OF_QUEUE = "offload:jobs:queue:"
WITH_TAG = "offload:jobs:tag:"
WITH_ERROR = "offload:jobs:error:"
DUE = "offload:due"
EXPIRES = "offload:expires"
EVENTS = "offload:events"
QUEUES = "offload:queues"
QUEUE = "offload:queue:"
RATE = "offload:rate:"
IDLE = "offload:idle:"
INBOX = "offload:inbox:"
RUNNING = "offload:running:"
RUNNING_ON = "offload:running-on:"
WORKERS = "offload:workers"
WORKER = "offload:worker:"
SCHEDULES = "offload:schedules"
SCHEDULE = "offload:schedule:"
COUNTS = "offload:counts:"
MINUTE = "offload:minute:"
TOTALS = "offload:totals"
OVERRIDES = "offload:overrides"
AUDIT = "offload:audit"
STALLS = "offload:stalls"
STALL_GROUP = "offload:stall:"
STALL_GROUPS = "offload:stall-groups"
STALL_SEEN = "offload:stall-seen"
STALL_TOTALS = "offload:stall-totals"
STALLING = "offload:stalling:"
ONGOING = "offload:ongoing"
ARTIFACT = "offload:artifact:"
CONFIRM = "offload:confirm"
UNIQUE = "offload:unique:"
IDEMPOTENCY = "offload:idempotency:"

# Keys without a TTL, each with who takes its members out. Every other key must have one.
PERMANENT = {
    "arq:queue": "members: a job that ends; a worker's claim",
    ARQ_ABORT: "members: a job that ends; prune after an hour",
    JOBS: "members: prune, when the record expires; forget",
    OF_FUNCTION: "members: as of offload:jobs:<status>",
    OF_QUEUE: "members: as of offload:jobs:<status>",
    WITH_TAG: "members: as of offload:jobs:<status>",
    WITH_ERROR: "members: as of offload:jobs:<status>",
    DUE: "members: claim, and the listing that promotes them",
    EXPIRES: "members: prune",
    EVENTS: "capped at about 2,000 entries",
    QUEUES: "the names of queues ever used",
    QUEUE: "the limits of a queue",
    IDLE: "members: claim and wake-ups; an old one is skipped",
    RUNNING: "members: claim, finish, release",
    RUNNING_ON: "members: finish, release; claim and prune, where the lease is over",
    WORKERS: "members: prune after a minute without a heartbeat",
    SCHEDULES: "the names of schedules ever used",
    SCHEDULE: "the state of a schedule",
    TOTALS: "at most 5,000 counters",
    OVERRIDES: "one member for each job function that was moved; taking that back",
    AUDIT: "capped at about 10,000 entries",
    STALLS: "capped at about 1,000 entries",
    STALL_TOTALS: "at most some 1,000 counters",
    ARQ_JOB: "only while the job waits or runs",
    ARQ_RETRY: "only while the job waits or runs",
    RECORD: "only while the job waits or runs",
    UNIQUE: "only while the job waits or runs; prune, where a stock worker ended it",
}


def queue_key(queue: str) -> str:
    """Return the sorted set of a queue: `default` is `arq:queue`, `q` is `arq:queue:q`, `=name` is `name` itself."""
    if queue == DEFAULT_QUEUE:
        return default_queue_name
    return queue[1:] if queue.startswith("=") else f"{default_queue_name}:{queue}"


def queue_of(key: str) -> str:
    """Return the queue that a sorted set holds; a name that is not of arq's pattern is written `=name`."""
    if key == default_queue_name:
        return DEFAULT_QUEUE
    prefix = default_queue_name + ":"
    return key[len(prefix) :] if key.startswith(prefix) else f"={key}"
