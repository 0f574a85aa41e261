"""What a caller may say of a job beside its arguments: in the query of one enqueue, or with each job of a batch.

Read strictly, so that a misspelt option is never silently without effect.
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
    """Read RFC 3339, section 5.6; pydantic alone would take a bare number for a time as well."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("must be RFC 3339 with an offset, such as 2026-11-22T09:30:00Z")
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
    """What a caller may say about one job beside its arguments."""

    delay: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Start no earlier than so many seconds from now. Not together with `run_at`."
    )
    run_at: Moment | None = Field(None, description="Start no earlier than this time; a past one means now.")
    deadline: Moment | None = Field(None, description="A job that has not finished by this time is dead.")
    queue: Annotated[str, Field(json_schema_extra={"pattern": QUEUE_PATTERN}), AfterValidator(_queue)] | None = Field(
        None, description="The queue to put it in, instead of the function's own."
    )
    max_tries: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = Field(
        None, description="Attempts it has, instead of the function's."
    )
    timeout: Annotated[float, Field(gt=0, le=YEAR_S, allow_inf_nan=False)] | None = Field(
        None, description="Limit of one attempt in seconds, instead of the function's."
    )
    keep_result: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Seconds for which the result is kept, instead of the function's."
    )
    priority: Annotated[int, Field(ge=0, le=HIGHEST_PRIORITY), BeforeValidator(_whole)] = Field(
        0, description="Of the due jobs of a queue those of a higher priority start first."
    )
    unique_key: Annotated[str, Field(min_length=1, max_length=LONGEST_UNIQUE_KEY)] | None = Field(
        None,
        description="Put it in only where no job of this function with this key waits or runs; "
        "otherwise the answer is that job, with status 200.",
    )
    unique_for: Annotated[float, Field(gt=0, le=LONGEST_UNIQUE_S, allow_inf_nan=False)] | None = Field(
        None,
        description="Seconds from its enqueue for which `unique_key` keeps others out though the job has ended. "
        "Alone it takes the arguments for the key.",
    )
    callback_url: CallbackUrl | None = Field(
        None,
        description="Told how the job ended, by a signed webhook (Standard Webhooks) that is tried again for three "
        "days. Needs `OFFLOAD_WEBHOOK_SECRETS`.",
    )


_Tags = Annotated[list[Tag], Field(max_length=20)] | None


class QueryOptions(Options):
    """The options of one enqueue, as they stand in its query."""

    tag: _Tags = Field(None, description="A word to find the job by; may be given several times.")
    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)] = Field(
        0, description="Seconds to hold the answer until the job has ended: 200 if it has by then, else 202."
    )


class BatchOptions(Options):
    """The options of one job of a batch."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"title": "EnqueueOptions"})

    tags: _Tags = Field(None, description="Words to find the job by.")


NONE = NO_OPTIONS


def parse(query: QueryParams, traceparent: str | None = None) -> tuple[EnqueueOptions, float]:
    """Turn the query of an enqueue into options, and the seconds to wait; raises InvalidParameters."""
    if not query:
        return NONE if traceparent is None else EnqueueOptions(traceparent=traceparent), 0
    faults = _unknown(query, QueryOptions)
    faults += [
        FieldError(name, "given twice; it takes one value", "repeated_parameter")
        for name in query
        if name in QueryOptions.model_fields and name != "tag" and len(query.getlist(name)) > 1
    ]
    if faults:
        raise InvalidParameters(faults)
    given = {name: query.getlist(name) if name == "tag" else query[name] for name in query}
    try:
        said = QueryOptions.model_validate(given)
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    return _as_options(said, said.tag, now_ms(), traceparent), said.wait


def of_batch(given: Mapping[str, Any], at_ms: int, traceparent: str | None = None) -> EnqueueOptions:
    """Turn the options of one job of a batch into ours; raises InvalidParameters that names each wrong one."""
    if faults := _unknown(given, BatchOptions):
        raise InvalidParameters(faults)
    try:
        said = BatchOptions.model_validate(given, strict=True)
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    return _as_options(said, said.tags, at_ms, traceparent)


def _unknown(given: Iterable[str], known: type[Options]) -> list[FieldError]:
    return [_misspelt(name, list(known.model_fields)) for name in given if name not in known.model_fields]


def _misspelt(name: str, known: list[str]) -> FieldError:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return FieldError(name, f"is no option of an enqueue; {hint}", "unknown_parameter")


def _as_options(said: Options, tags: list[str] | None, at_ms: int, traceparent: str | None) -> EnqueueOptions:
    run_at_ms = None if said.run_at is None else _not_too_far("run_at", said.run_at, at_ms)
    deadline_ms = None if said.deadline is None else _not_too_far("deadline", said.deadline, at_ms)
    starts_ms = max(at_ms + round((said.delay or 0) * 1000), run_at_ms or 0)
    if deadline_ms is not None and deadline_ms <= starts_ms:
        raise InvalidParameters([FieldError("deadline", "is not after the time the job may start", "deadline_passed")])
    if said.delay is not None and said.run_at is not None:
        raise InvalidParameters([FieldError("run_at", "is given beside `delay`; use one of the two", "excluded")])
    return EnqueueOptions(
        queue=said.queue,
        delay=said.delay,
        run_at_ms=None if run_at_ms is not None and run_at_ms <= at_ms else run_at_ms,
        deadline_ms=deadline_ms,
        max_tries=said.max_tries,
        timeout=said.timeout,
        keep_result=said.keep_result,
        tags=tuple(dict.fromkeys(tags or ())),
        traceparent=traceparent,
        priority=said.priority,
        unique_key=said.unique_key,
        unique_for=said.unique_for,
        callback_url=said.callback_url,
    )


def _not_too_far(name: str, moment: datetime, at_ms: int) -> int:
    due_ms = to_ms(moment)
    if due_ms > at_ms + FARTHEST_S * 1000:
        raise InvalidParameters([FieldError(name, "is more than ten years away", "too_far")])
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
