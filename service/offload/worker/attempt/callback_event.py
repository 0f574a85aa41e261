"""What a callback tells: which job ended and how, as the script that ended it wrote down, and the job's document."""

from dataclasses import replace
from typing import Any

import orjson

from offload.domain import views
from offload.domain.clock import now_ms, rfc3339
from offload.domain.errors import NotFound
from offload.store.jobs.leases import Claimed
from offload.store.jobs.records import Records


async def event(records: Records, callback: Claimed) -> dict[str, Any]:
    """Return `{type, timestamp, data}` of the end that put this callback in; raises NotFound.

    Only the script that ends a job can say of which job a callback tells, so that nobody who may enqueue can have a
    document of their choice signed and sent. Arguments of a function that this worker does not know are left out: which
    of them are secret, it cannot know either.
    """
    told = orjson.loads(callback.options or b"{}").get("callback")
    if not told or "status" not in told:
        raise NotFound("job that ended with callback", callback.id)
    record = await records.get(told["job"], now_ms())
    if record is None:
        raise NotFound("job", told["job"])
    if not records.knows(record.function):
        record = replace(record, args=None)
    return {
        "type": f"job.{told['status']}",
        "timestamp": rfc3339(told["at"]),
        "data": views.job(record),
    }
