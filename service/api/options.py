"""The query options of an enqueue: read strictly, so that a misspelt one is never silently without effect."""

import re
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from starlette.datastructures import QueryParams

from service.api.problems import InvalidParameters
from service.domain.arguments import field_errors
from service.domain.clock import now_ms, to_ms
from service.domain.errors import FieldError, InvalidDefinition
from service.domain.functions import EnqueueOptions
from service.domain.queues import check_queue_name

YEAR_S = 31_536_000
FARTHEST_S = 10 * YEAR_S
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(text: str) -> datetime:
    """Read RFC 3339, section 5.6; pydantic alone would take a bare number for a time as well."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be RFC 3339 with an offset, such as 2026-11-22T09:30:00Z")
    return datetime.fromisoformat(text.upper())


def _queue(name: str) -> str:
    try:
        return check_queue_name(name)
    except InvalidDefinition as error:
        raise ValueError(str(error)) from None


Moment = Annotated[datetime, BeforeValidator(_moment)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


class Options(BaseModel):
    """What a caller may say about one job beside its arguments."""

    delay: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Start no earlier than so many seconds from now. Not together with `run_at`."
    )
    run_at: Moment | None = Field(None, description="Start no earlier than this time; a past one means now.")
    deadline: Moment | None = Field(None, description="A job that has not finished by this time is dead.")
    queue: Annotated[str, AfterValidator(_queue)] | None = Field(
        None, description="The queue to put it in, instead of the function's own."
    )
    max_tries: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Attempts it has, instead of the function's."
    )
    timeout: Annotated[float, Field(gt=0, le=YEAR_S, allow_inf_nan=False)] | None = Field(
        None, description="Limit of one attempt in seconds, instead of the function's."
    )
    keep_result: Annotated[float, Field(ge=0, le=FARTHEST_S, allow_inf_nan=False)] | None = Field(
        None, description="Seconds for which the result is kept, instead of the function's."
    )
    tag: Annotated[list[Tag], Field(max_length=20)] | None = Field(
        None, description="A word to find the job by; may be given several times."
    )


NONE = EnqueueOptions()


def parse(query: QueryParams) -> EnqueueOptions:
    """Turn the query of an enqueue into options; raises InvalidParameters that names each wrong one."""
    if not query:
        return NONE
    faults = [_unknown(name) for name in query if name not in Options.model_fields]
    faults += [
        FieldError(name, "given twice; it takes one value", "repeated_parameter")
        for name in query
        if name in Options.model_fields and name != "tag" and len(query.getlist(name)) > 1
    ]
    if faults:
        raise InvalidParameters(faults)
    given = {name: query.getlist(name) if name == "tag" else query[name] for name in query}
    try:
        return _as_options(Options.model_validate(given), now_ms())
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None


def _unknown(name: str) -> FieldError:
    near = get_close_matches(name, Options.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(Options.model_fields)}"
    return FieldError(name, f"is no option of an enqueue; {hint}", "unknown_parameter")


def _as_options(said: Options, at_ms: int) -> EnqueueOptions:
    run_at_ms = None if said.run_at is None else _not_too_far("run_at", said.run_at, at_ms)
    deadline_ms = None if said.deadline is None else _not_too_far("deadline", said.deadline, at_ms)
    starts_ms = max(at_ms + round((said.delay or 0) * 1000), run_at_ms or 0)
    if deadline_ms is not None and deadline_ms <= starts_ms:
        raise InvalidParameters([FieldError("deadline", "is not after the time the job may start", "deadline_passed")])
    return EnqueueOptions(
        queue=said.queue,
        delay=said.delay,
        run_at_ms=None if run_at_ms is not None and run_at_ms <= at_ms and said.delay is None else run_at_ms,
        deadline_ms=deadline_ms,
        max_tries=said.max_tries,
        timeout=said.timeout,
        keep_result=said.keep_result,
        tags=tuple(dict.fromkeys(said.tag or ())),
    )


def _not_too_far(name: str, moment: datetime, at_ms: int) -> int:
    due_ms = to_ms(moment)
    if due_ms > at_ms + FARTHEST_S * 1000:
        raise InvalidParameters([FieldError(name, "is more than ten years away", "too_far")])
    return due_ms


def parameters() -> dict[str, dict[str, Any]]:
    """Return the options as OpenAPI parameters, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, shape in Options.model_json_schema()["properties"].items():
        schema = next(one for one in shape["anyOf"] if one.get("type") != "null")
        found[name] = {
            "name": name,
            "in": "query",
            "required": False,
            "description": shape["description"],
            "schema": schema,
        }
    return found
