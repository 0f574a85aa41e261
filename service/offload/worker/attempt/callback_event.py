"""The content of a callback: which job ended and how, as the script that ended it recorded, and the job's document."""

from dataclasses import replace
from typing import Any

import orjson

from offload.domain import views
from offload.domain.clock import now_ms, rfc3339
from offload.domain.errors import NotFound
from offload.store.jobs.leases import Claimed
from offload.store.jobs.records import Records


async def event(records: Records, callback: Claimed) -> dict[str, Any]:
    """Return `{type, timestamp, data}` of the end that enqueued this callback; raises NotFound.

    The job is named by the script that ended it and not by an argument, so that a person who may enqueue cannot have a
    document of their choice signed and sent. Arguments of a function that this worker does not know are left out, for
    it does not know either which of them are secret.
    """
    end = orjson.loads(callback.options or b"{}").get("callback")
    if not end or "status" not in end:
        raise NotFound("job that ended with callback", callback.id)
    record = await records.get(end["job"], now_ms())
    if record is None:
        raise NotFound("job", end["job"])
    if not records.knows(record.function):
        record = replace(record, args=None)
    return {
        "type": f"job.{end['status']}",
        "timestamp": rfc3339(end["at"]),
        "data": views.job(record),
    }
