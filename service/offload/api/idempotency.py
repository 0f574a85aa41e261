"""Doing a request with an `Idempotency-Key` once, however often it is sent: draft-ietf-httpapi-idempotency-key-header.

Keys are the caller's own, for a day. The key is marked as in use before anything of the request is looked at, and the
script that puts the jobs in writes their ids in its place, in the same step.
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
    put: Callable[[Mark], Awaitable[Answer]],
    again: Callable[[tuple[str, ...]], Awaitable[Answer]],
) -> Answer:
    """Answer by `put` the first time, later by `again`, which is given the ids of the jobs that were put in.

    Raises IdempotencyKeyReused, IdempotencyKeyInUse, InvalidParameters, and what `put` raises: a request that was
    refused leaves its key free.
    """
    key = sent.decode("latin-1")
    if not idempotency.is_key(key):
        message = f"must have from 1 to {idempotency.LONGEST_KEY} printable ASCII characters"
        raise InvalidParameters([FieldError("Idempotency-Key", message, "idempotency_key")])
    who = scope.get(scopes.KEY, ANONYMOUS).name
    wanted = idempotency.fingerprint(scope["method"], scope["path"], scope["query_string"], body)
    begun = await given.promptly(given.client.begin(who, key, wanted), part="writes")
    if not isinstance(begun, Mark):
        if wait := given.client.longest_confirmation:
            await given.promptly(given.client.confirm(begun), wait, "writes")
        return await again(begun)
    try:
        return await put(begun)
    except InvalidRequest:
        with contextlib.suppress(Unavailable):
            await given.promptly(given.client.give_up(begun), part="writes")
        raise
