"""API keys as values: the entries of OFFLOAD_API_KEYS, and the check of the key that a caller presents.

An entry is a plain secret, which may do everything, or `name:scope+scope:sha256=<64 hex>`, which holds no secret: the
hash of a key of 256 random bits can be neither inverted nor guessed, so a slow hash would add nothing.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "ofl_"
"""The beginning of every secret, by which scanners of repositories, and people, recognise one."""

_RANDOM_BYTES = 32
_LENGTH = len(PREFIX) + 43  # 32 bytes as base64url without padding
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256=([0-9a-f]{64})")
_FORM = "an entry is a plain secret or `name:scope+scope:sha256=<64 hex digits>` (`offload keys new` makes one)"


class Scope(StrEnum):
    """Permissions of a key; none includes another."""

    ENQUEUE = "enqueue"
    READ = "read"
    OPERATE = "operate"


ABOUT = {
    Scope.ENQUEUE: "enqueue jobs, and get them in the response",
    Scope.READ: "read everything: jobs with arguments and results, queues, workers, events, files",
    Scope.OPERATE: "change state: abort, retry and delete jobs, pause and resume queues, run schedules, move functions",
}

EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller. `name` is shown in the audit; `digest` is the SHA-256 of the secret, empty if no key is needed."""

    name: str
    scopes: frozenset[Scope] = EVERY_SCOPE
    digest: bytes = b""


ANONYMOUS = ApiKey("anonymous")
"""The caller of an API that needs no key."""


class Keyring:
    """The keys of one service."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, entries: Sequence[str]) -> "Keyring":
        """Read the entries of OFFLOAD_API_KEYS; raises ValueError, which names the wrong one and shows no secret."""
        keys: dict[str, ApiKey] = {}
        for number, entry in enumerate(entries, 1):
            try:
                key = read_entry(entry)
            except ValueError as error:
                raise ValueError(f"entry {number}: {error}") from None
            if key.name in keys:
                raise ValueError(f"entry {number}: there is already a key named {key.name!r}; names must be unique")
            keys[key.name] = key
        return cls(keys.values())

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, presented: bytes) -> ApiKey | None:
        """Return the key that was presented, or None.

        All are compared, each in constant time, by hash: the time taken reveals nothing about a secret.
        """
        return self.with_digest(hashlib.sha256(presented).digest())

    def with_digest(self, digest: bytes) -> ApiKey | None:
        """Return the key by the SHA-256 of its secret, or None; as `find` does."""
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def read_entry(entry: str) -> ApiKey:
    """Read one entry; raises ValueError, which never repeats what may be a secret."""
    if ":" not in entry:
        digest = hashlib.sha256(entry.encode())
        return ApiKey(f"key-{digest.hexdigest()[:6]}", EVERY_SCOPE, digest.digest())
    name, _, rest = entry.partition(":")
    scopes, found, digest_part = rest.partition(":")
    if not found:
        raise ValueError(f"it has one colon; {_FORM}, and a plain secret has no colon")
    if not _NAME.fullmatch(name):
        raise ValueError("its name must be 1 to 64 letters, digits, dots, dashes or underscores; " + _FORM)
    hashed = _DIGEST.fullmatch(digest_part)
    if hashed is None:
        raise ValueError(f"the key {name!r} must end with `sha256=` and 64 hex digits in lower case; {_FORM}")
    return ApiKey(name, read_scopes(scopes.split("+")), bytes.fromhex(hashed[1]))


def read_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Read the names of scopes; raises ValueError, which lists the valid ones."""
    known = ", ".join(Scope)
    scopes = set()
    for word in words:
        try:
            scopes.add(Scope(word))
        except ValueError:
            raise ValueError(f"there is no scope {word!r}; the scopes are {known}") from None
    if not scopes:
        raise ValueError(f"it needs a scope, one or more of {known}")
    return frozenset(scopes)


def new(name: str, scopes: Iterable[str]) -> tuple[str, str]:
    """Make a key of 256 random bits: return the secret, for the caller alone, and its entry; raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a key name: 1 to 64 letters, digits, dots, dashes or underscores")
    wanted = read_scopes(scopes)
    secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    ordered = "+".join(scope for scope in Scope if scope in wanted)
    return secret, f"{name}:{ordered}:sha256={hashlib.sha256(secret.encode()).hexdigest()}"


def is_generated(presented: bytes) -> bool:
    """Return True for a secret in the form of `new`, which cannot be guessed in any number of attempts."""
    return len(presented) == _LENGTH and presented.startswith(PREFIX.encode())
