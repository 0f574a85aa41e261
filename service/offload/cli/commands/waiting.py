"""Waits for a job from the shell and prints how it ended."""

import math

import orjson

from offload.cli import documents, errors, output
from offload.domain.errors import JobFailed, NotFinished
from offload.domain.records import JobRecord
from offload.domain.states import Status
from offload.wiring import Backend


async def wait_for_end(offload: Backend, job_id: str, timeout: float | None) -> JobRecord:
    """Return the job once it has ended; raises NotFinished after `timeout` seconds (None, infinity: no limit)."""
    limit = None if timeout is None or math.isinf(timeout) else timeout
    record = await offload.inspector.wait(job_id, limit)
    if not record.status.is_terminal:
        raise NotFinished(
            f"timed out after {limit:g} s: job {job_id} is still {record.status} (see: offload jobs explain {job_id})"
        )
    return record


def print_end(record: JobRecord, *, as_json: bool) -> None:
    """Print the result, or the whole document; raises JobFailed if the job did not succeed."""
    if as_json:
        output.print_json(documents.job(record))
    if record.status is not Status.SUCCEEDED:
        raise JobFailed(record.id, record.status, record.error)
    if as_json:
        return
    if record.result is None:
        errors.write_stderr(f"job {record.id} succeeded; its result has expired")
    else:
        output.print_json(orjson.loads(record.result))
