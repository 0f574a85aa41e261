"""The options of an enqueue, in the query of a single call or with each job of a batch.

Parsed strictly, so that a misspelt option is never ignored.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from offload.api.problems.request_errors import InvalidParameters
from offload.domain.arguments import field_errors
from offload.domain.callbacks import LONGEST_URL, check_callback_url
from offload.domain.clock import now_ms, to_ms
from offload.domain.errors import FieldError, InvalidDefinition
from offload.domain.functions import HIGHEST_PRIORITY, LONGEST_UNIQUE_KEY, LONGEST_UNIQUE_S, NO_OPTIONS, EnqueueOptions
from offload.domain.queues import QUEUE_PATTERN, check_queue_name

YEAR_S = 31_536_000
FARTHEST_S = 10 * YEAR_S
LONGEST_WAIT_S = 60.0
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(text: object) -> datetime:
    """Parse RFC 3339, section 5.6; pydantic alone accepts a bare number as well."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("must be RFC 3339 with an offset, for example 2026-11-22T09:30:00Z")
    return datetime.fromisoformat(text.upper())


def _queue(name: str) -> str:
    try:
        return check_queue_name(name)
    except InvalidDefinition as error:
        raise ValueError(str(error)) from None


def _whole(number: object) -> object:
    """Take 9.0 for 9, as JSON Schema does: JSON has one kind of number."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Moment = Annotated[datetime, BeforeValidator(_moment)]
CallbackUrl = Annotated[
    str, Field(max_length=LONGEST_URL, json_schema_extra={"format": "uri"}), AfterValidator(check_callback_url)
]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


class Options(BaseModel):
    """The options of one job, besides its arguments."""

    delay: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Start the job this many seconds from now. Mutually exclusive with `run_at`."
    )
    run_at: Moment | None = Field(None, description="Earliest start time (RFC 3339); a time in the past means now.")
    deadline: Moment | None = Field(
        None, description="Mark the job dead if it has not finished by this time (RFC 3339)."
    )
    queue: Annotated[str, Field(json_schema_extra={"pattern": QUEUE_PATTERN}), AfterValidator(_queue)] | None = Field(
        None, description="Use this queue instead of the function's default."
    )
    max_tries: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = Field(
        None, description="Maximum number of attempts, instead of the function's."
    )
    timeout: Annotated[float, Field(gt=0, le=YEAR_S, allow_inf_nan=False)] | None = Field(
        None, description="Time limit of one attempt in seconds, instead of the function's."
    )
    keep_result: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Seconds to keep the result, instead of the function's."
    )
    priority: Annotated[int, Field(ge=0, le=HIGHEST_PRIORITY), BeforeValidator(_whole)] = Field(
        0, description="Priority within the queue; higher starts first."
    )
    unique_key: Annotated[str, Field(min_length=1, max_length=LONGEST_UNIQUE_KEY)] | None = Field(
        None,
        description="Enqueue only if no job of this function with this key is waiting or running; "
        "otherwise that job is returned with status 200.",
    )
    unique_for: Annotated[float, Field(gt=0, le=LONGEST_UNIQUE_S, allow_inf_nan=False)] | None = Field(
        None,
        description="Reject duplicates (by `unique_key`, or by arguments if no key is given) for this many seconds "
        "after the enqueue, even if the job has finished.",
    )
    callback_url: CallbackUrl | None = Field(
        None,
        description="URL to notify with a signed webhook (Standard Webhooks) when the job finishes; retried for three "
        "days. Requires `OFFLOAD_WEBHOOK_SECRETS`.",
    )


_Tags = Annotated[list[Tag], Field(max_length=20)] | None


class QueryOptions(Options):
    """The options of one enqueue, in its query."""

    tag: _Tags = Field(None, description="Tag to search by. Can be repeated.")
    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)] = Field(
        0, description="Seconds to wait for the job to finish: 200 if it does, else 202."
    )


class BatchOptions(Options):
    """The options of one job of a batch."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"title": "EnqueueOptions"})

    tags: _Tags = Field(None, description="Tags to search by.")


NONE = NO_OPTIONS


def parse(query: QueryParams, traceparent: str | None = None) -> tuple[EnqueueOptions, float]:
    """Parse the query of an enqueue into options and the seconds to wait; raises InvalidParameters."""
    if not query:
        return NONE if traceparent is None else EnqueueOptions(traceparent=traceparent), 0
    faults = _unknown(query, QueryOptions)
    faults += [
        FieldError(name, "given more than once", "repeated_parameter")
        for name in query
        if name in QueryOptions.model_fields and name != "tag" and len(query.getlist(name)) > 1
    ]
    if faults:
        raise InvalidParameters(faults)
    given = {name: query.getlist(name) if name == "tag" else query[name] for name in query}
    try:
        wanted = QueryOptions.model_validate(given)
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    return _as_options(wanted, wanted.tag, now_ms(), traceparent), wanted.wait


def of_batch(given: Mapping[str, Any], at_ms: int, traceparent: str | None = None) -> EnqueueOptions:
    """Parse the options of one job of a batch; raises InvalidParameters that names each invalid one."""
    if faults := _unknown(given, BatchOptions):
        raise InvalidParameters(faults)
    try:
        wanted = BatchOptions.model_validate(given, strict=True)
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    return _as_options(wanted, wanted.tags, at_ms, traceparent)


def _unknown(given: Iterable[str], known: type[Options]) -> list[FieldError]:
    return [_misspelt(name, list(known.model_fields)) for name in given if name not in known.model_fields]


def _misspelt(name: str, known: list[str]) -> FieldError:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"valid options: {', '.join(known)}"
    return FieldError(name, f"unknown option {name!r}; {hint}", "unknown_parameter")


def _as_options(wanted: Options, tags: list[str] | None, at_ms: int, traceparent: str | None) -> EnqueueOptions:
    run_at_ms = None if wanted.run_at is None else _not_too_far("run_at", wanted.run_at, at_ms)
    deadline_ms = None if wanted.deadline is None else _not_too_far("deadline", wanted.deadline, at_ms)
    starts_ms = max(at_ms + round((wanted.delay or 0) * 1000), run_at_ms or 0)
    if deadline_ms is not None and deadline_ms <= starts_ms:
        raise InvalidParameters([FieldError("deadline", "must be after the earliest start time", "deadline_passed")])
    if wanted.delay is not None and wanted.run_at is not None:
        raise InvalidParameters([FieldError("run_at", "cannot be combined with `delay`", "excluded")])
    return EnqueueOptions(
        queue=wanted.queue,
        delay=wanted.delay,
        run_at_ms=None if run_at_ms is not None and run_at_ms <= at_ms else run_at_ms,
        deadline_ms=deadline_ms,
        max_tries=wanted.max_tries,
        timeout=wanted.timeout,
        keep_result=wanted.keep_result,
        tags=tuple(dict.fromkeys(tags or ())),
        traceparent=traceparent,
        priority=wanted.priority,
        unique_key=wanted.unique_key,
        unique_for=wanted.unique_for,
        callback_url=wanted.callback_url,
    )


def _not_too_far(name: str, moment: datetime, at_ms: int) -> int:
    due_ms = to_ms(moment)
    if due_ms > at_ms + FARTHEST_S * 1000:
        raise InvalidParameters([FieldError(name, "must be within ten years", "too_far")])
    return due_ms


def parameters() -> dict[str, dict[str, Any]]:
    """Return the query options of an enqueue as OpenAPI parameters, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, shape in QueryOptions.model_json_schema()["properties"].items():
        schema = next((one for one in shape.get("anyOf", ()) if one.get("type") != "null"), None)
        if schema is None:
            schema = {part: shape[part] for part in shape if part not in ("title", "description")}
        found[name] = {
            "name": name,
            "in": "query",
            "required": False,
            "description": shape["description"],
            "schema": schema,
        }
    return found
