"""Parsing of a batch of jobs; each error of each job is reported with its index in the batch."""

from collections.abc import Sequence
from typing import Any

from offload.api import options
from offload.api.problems.request_errors import InvalidParameters
from offload.client import ONE_STEP, Checked, Client, Request
from offload.domain.clock import now_ms
from offload.domain.errors import FieldError, InvalidArguments, InvalidBatch, InvalidOptions, UnknownFunction
from offload.domain.functions import EnqueueOptions

_KNOWN = ("function", "args", "options")


def read(client: Client, given: Any, traceparent: str | None) -> list[Checked]:
    """Return the jobs of a batch, all checked; raises InvalidBatch that names every error."""
    jobs = given.get("jobs") if isinstance(given, dict) else None
    if not isinstance(jobs, list):
        raise InvalidBatch([FieldError("jobs", 'must be a list of jobs: {"jobs": [{"function": …}]}', "list_type")])
    if len(jobs) > ONE_STEP:
        raise InvalidBatch([FieldError("jobs", f"has {len(jobs)} jobs; the limit is {ONE_STEP:,}", "too_long")])
    faults = [FieldError(name, "unknown field; a batch has only `jobs`", "extra_forbidden")
              for name in given if name != "jobs"]  # fmt: skip
    checked: list[Checked] = []
    at_ms = now_ms()
    for place, job in enumerate(jobs):
        try:
            checked.append(_check(client, job, at_ms, traceparent))
        except InvalidBatch as error:
            faults += [FieldError(f"jobs.{place}{_under(f.path)}", f.message, f.code) for f in error.fields]
    if faults:
        raise InvalidBatch(faults)
    return checked


def _check(client: Client, job: Any, at_ms: int, traceparent: str | None) -> Checked:
    """Check one job; raises InvalidBatch with paths below the job."""
    if not isinstance(job, dict):
        raise InvalidBatch([FieldError("", "must be an object with `function`, `args` and `options`", "object_type")])
    name, args, job_options = job.get("function"), job.get("args", {}), job.get("options", {})
    faults = [FieldError(key, f"unknown field; valid fields: {', '.join(_KNOWN)}", "extra_forbidden")
              for key in job if key not in _KNOWN]  # fmt: skip
    if not isinstance(name, str):
        faults.append(FieldError("function", "must be the name of a job function", "string_type"))
    faults += [FieldError(key, "must be an object", "object_type")
               for key, value in (("args", args), ("options", job_options)) if not isinstance(value, dict)]  # fmt: skip
    if faults:
        raise InvalidBatch(faults)
    wanted = options.NONE if traceparent is None else EnqueueOptions(traceparent=traceparent)
    if job_options:
        try:
            wanted = options.of_batch(job_options, at_ms, traceparent)
        except InvalidParameters as error:
            faults += _below("options", error.fields)
    found: Checked | None = None
    try:
        found = client.check(Request(str(name), args, wanted), is_json=True)
    except UnknownFunction as error:
        faults.append(FieldError("function", str(error), "unknown_function"))
    except InvalidArguments as error:
        faults += _below("args", error.fields)
    except InvalidOptions as error:  # callback_url, which this service may not be able to call
        faults += _below("options", error.fields or [FieldError("", str(error), "invalid_option")])
    if found is None or faults:
        raise InvalidBatch(faults)
    return found


def _below(part: str, fields: Sequence[FieldError]) -> list[FieldError]:
    return [FieldError(part + _under(field.path), field.message, field.code) for field in fields]


def _under(path: str) -> str:
    return f".{path}" if path else ""
