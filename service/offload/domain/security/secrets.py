"""Secrets among the arguments of a job, which are kept out of everything that people read.

A value is masked if its name or declared type is secret (`mask`). In text, such as the message of an exception or
a log line, the known secret values are cut out (`Redaction`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

MASK = "**********"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token$|(api|access|private|signing|encryption)[_-]?key|authorization|cookie"
    r"|credential|(^|[_-])pwd$",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/?#@\s:]*):[^/?#@\s]+@")
_BARE = frozenset({int, float, bool, type(None)})
_SHORTEST = 4
"""Shorter values occur in ordinary words too; cutting them out would spoil the text and hide nothing."""

_LONGEST_KEPT = 64
"""Callers choose names too: longer ones are not cached, so that they cannot fill the memory."""


def mask(value: Any, secret_names: frozenset[str] = frozenset()) -> Any:
    """Replace, at any depth, the values of keys that are declared secret or are named like one, and URLs' passwords."""
    kind = type(value)
    if kind in _BARE:
        return value
    if kind is str or isinstance(value, str):
        return _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", value) if "://" in value and "@" in value else value
    if kind is dict or isinstance(value, Mapping):  # asked in this order: the last takes as long as all the rest
        return {
            key: MASK if _hides(key, item, secret_names) else mask(item, secret_names) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask(item, secret_names) for item in value]
    return value


def _hides(key: Any, item: Any, secret_names: frozenset[str]) -> bool:
    if item is None or isinstance(item, bool):
        return False
    if key in secret_names:
        return True
    name = str(key)
    return _tells(name) if len(name) <= _LONGEST_KEPT else _SECRET_NAME.search(name) is not None


@lru_cache(4096)
def _tells(name: str) -> bool:
    """Return True for the name of a secret; cached, since the names of arguments are few."""
    return _SECRET_NAME.search(name) is not None


class Redaction:
    """Cuts the secret values of some arguments out of texts, where they occur unchanged.

    A value that the code has changed first (encoded, shortened, quoted in another way) is another text, and stays.
    """

    def __init__(self, arguments: Any, secret_names: frozenset[str] = frozenset()) -> None:
        found = {text for text in _values(arguments, secret_names, hidden=False) if len(text) >= _SHORTEST}
        longest_first = sorted(found, key=len, reverse=True)  # one may be part of another
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def text(self, text: str) -> str:
        """Return the text without the values."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def of(self, value: Any) -> Any:
        """Return JSON-like data without the values, in all texts at any depth."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        return value


def _values(value: Any, secret_names: frozenset[str], *, hidden: bool) -> Iterator[str]:
    """Yield the texts under a secret key, at any depth, and each line of these texts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _values(item, secret_names, hidden=hidden or _hides(key, item, secret_names))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(item, secret_names, hidden=hidden)
    elif hidden and isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif hidden and isinstance(value, str):
        yield value
        yield from (line for line in value.splitlines() if len(line) > _SHORTEST)
        yield repr(value)[1:-1]  # as a traceback quotes it
    elif isinstance(value, str) and "://" in value and "@" in value:
        yield from (found[1:] for found in _passwords(value))


def _passwords(url: str) -> Iterator[str]:
    for found in _PASSWORD_IN_URL.finditer(url):
        yield found[0][len(found[1]) : -1]
