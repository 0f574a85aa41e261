"""Requests with an `Idempotency-Key`, executed once: draft-ietf-httpapi-idempotency-key-header.

A key belongs to its caller, for a day. It is marked as in use before the request is parsed, and the script that
enqueues the jobs replaces the mark by their ids, in the same step.
"""

import contextlib
from collections.abc import Awaitable, Callable

from starlette.types import Scope

from offload.api.asgi import Answer
from offload.api.middleware import scopes
from offload.api.problems.request_errors import InvalidParameters
from offload.api.state import State
from offload.domain import idempotency
from offload.domain.errors import FieldError, InvalidRequest, Unavailable
from offload.domain.idempotency import Mark
from offload.domain.security.api_keys import ANONYMOUS

HEADER = b"idempotency-key"


async def answer_once(
    given: State,
    scope: Scope,
    sent: bytes,
    body: bytes,
    execute: Callable[[Mark], Awaitable[Answer]],
    replay: Callable[[tuple[str, ...]], Awaitable[Answer]],
) -> Answer:
    """Answer by `execute` the first time, later by `replay`, which gets the ids of the jobs that were enqueued.

    Raises IdempotencyKeyReused, IdempotencyKeyInUse, InvalidParameters, and all that `execute` raises: an invalid
    request leaves its key free.
    """
    key = sent.decode("latin-1")
    if not idempotency.is_key(key):
        message = f"must be 1 to {idempotency.LONGEST_KEY} printable ASCII characters"
        raise InvalidParameters([FieldError("Idempotency-Key", message, "idempotency_key")])
    who = scope.get(scopes.KEY, ANONYMOUS).name
    wanted = idempotency.fingerprint(scope["method"], scope["path"], scope["query_string"], body)
    begun = await given.promptly(given.client.begin_request(who, key, wanted), part="writes")
    if not isinstance(begun, Mark):
        if wait := given.client.longest_confirmation:
            await given.promptly(given.client.confirm(begun), wait, "writes")
        return await replay(begun)
    try:
        return await execute(begun)
    except InvalidRequest:
        with contextlib.suppress(Unavailable):
            await given.promptly(given.client.abandon_request(begun), part="writes")
        raise
