"""The W3C trace context that comes with a request and goes on with its job (https://www.w3.org/TR/trace-context/)."""

import re

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST = 256


def traceparent(header: str | None) -> str | None:
    """Return a `traceparent` unchanged, or None for a value that section 3.2 tells receivers to ignore.

    These are: anything but lower-case hex of the right length, version ff, ids of zeros only, a longer version 00.
    """
    match = _TRACEPARENT.fullmatch(header.strip()) if header and len(header) <= _LONGEST else None
    if match is None or match[1] == "ff" or not match[2].strip("0") or not match[3].strip("0"):
        return None
    return None if match[5] and match[1] == "00" else match[0]


def trace_id(header: str) -> str | None:
    """Return the id of the whole trace, 32 hex digits; None if it is not a valid `traceparent`."""
    valid = traceparent(header)
    return None if valid is None else valid.split("-")[1]
