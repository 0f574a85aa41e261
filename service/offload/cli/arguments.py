"""Reads arguments of a job function (`key=value`, `@file.json`, `-`) and times from the command line."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from offload.domain.clock import now_ms, to_ms
from offload.domain.errors import InvalidOptions

_AGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h|d)", re.ASCII)
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def read_arguments(words: Sequence[str], whole: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, from one of three sources. Raises InvalidOptions.

    `words` are `key=value` pairs, or one `@file` or `-` (stdin); `whole` is one JSON object. A value is parsed as JSON.
    It is taken as text if it is not JSON, or if the schema allows this argument to be a string only.
    """
    if whole is not None:
        if words:
            raise InvalidOptions(f"use either --args or {words[0]!r}, not both")
        return _object(whole, "--args")
    if len(words) == 1 and words[0] == "-":
        return _object(sys.stdin.read(), "stdin")
    if len(words) == 1 and words[0].startswith("@"):
        return _object(_content(words[0][1:]), words[0][1:])
    return _pairs(words, schema.get("properties", {}))


def time_ms(option: str, text: str | None) -> int | None:
    """Parse an RFC 3339 time, in UTC unless it has an offset; raises InvalidOptions, which names the option."""
    if text is None:
        return None
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        raise InvalidOptions(f"{option}: invalid time {text!r}; expected a form like 2026-12-24T18:00:00Z") from None


def since_ms(option: str, text: str | None) -> int | None:
    """Parse an age (`90s`, `15m`, `24h`, `7d`) or a time; return the time. Raises InvalidOptions."""
    ago = _AGE.fullmatch(text or "")
    if ago is None:
        return time_ms(option, text)
    return now_ms() - round(float(ago[1]) * _UNIT_MS[ago[2]])


def _pairs(words: Sequence[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidOptions(f"{word!r} is not key=value; alternatives: --args JSON, @file.json, - (stdin)")
        if name in arguments:
            raise InvalidOptions(f"argument {name!r} is given twice")
        arguments[name] = _value(value, properties.get(name, {}))
    return arguments


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text
    is_text = schema.get("type") == "string" and not isinstance(value, str)
    return text if is_text else value


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise InvalidOptions(f"{source} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidOptions(f'{source} must be one JSON object with the arguments, such as {{"name": "value"}}')
    return value


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidOptions(f"cannot read {path!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidOptions(f"{path!r} is not UTF-8 text") from None


def _refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not valid JSON")
