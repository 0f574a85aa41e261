"""Encodes the values of a caller for the API: arguments as JSON, options and filters as query parameters."""

import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID


def as_json(value: object) -> bytes:
    """Return JSON; a pydantic model is written as its fields, with secrets in the clear, since the job needs them.

    Raises TypeError for a value that JSON cannot express, ValueError for NaN and infinity.
    """
    return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def as_query(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return query parameters; one that is None is left out, a list is repeated."""
    pairs = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        pairs += [(name, _text(name, one)) for one in values if one is not None]
    return pairs


def as_members(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a JSON object; one that is None is left out."""
    return {
        name: moment(name, value) if isinstance(value, datetime) else value
        for name, value in options.items()
        if value is not None
    }


def moment(name: str, value: datetime | str) -> str:
    """Return a time as RFC 3339; raises ValueError for a datetime without a time zone, which is ambiguous."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{name}={value!r} has no time zone; use datetime(..., tzinfo=UTC)")
    return value.isoformat()


def _text(name: str, value: object) -> str:
    if isinstance(value, datetime):
        return moment(name, value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _plain(value: Any) -> Any:
    """Return an equivalent that JSON can express."""
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True)
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    for kind, written in _WRITTEN.items():
        if isinstance(value, kind):
            return written(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON; pass a JSON type")


_WRITTEN: dict[type, Callable[[Any], Any]] = {
    Enum: lambda value: value.value,
    date: lambda value: value.isoformat(),  # a datetime too
    time: time.isoformat,
    UUID: str,
    Decimal: str,
    PurePath: str,
    AbstractSet: list,
    Mapping: dict,
}
