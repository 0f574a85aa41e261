"""Authentication by API key: a call needs one of the configured keys, with the scope of the call."""

import hashlib
import time

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from offload.api.middleware import scopes
from offload.api.middleware.throttle import Throttle, address_of
from offload.api.pages import locked
from offload.api.problems.request_errors import TooManyFailures, Unauthorized
from offload.api.problems.responses import respond
from offload.domain.errors import OffloadError
from offload.domain.security.api_keys import ApiKey, Keyring, is_generated

log = structlog.get_logger(__name__)


class ApiKeyAuth:
    """Answers 401 to calls without a valid key, 403 if the key lacks the scope, 429 after many invalid keys."""

    def __init__(
        self, app: ASGIApp, keys: Keyring, *, open_docs: bool = False, throttle: Throttle | None = None
    ) -> None:
        self._app = app
        self._keys = keys
        self._open_docs = open_docs
        self._throttle = throttle or Throttle(time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            wanted = scopes.needed(scope["method"], scope["path"], open_docs=self._open_docs)
            if wanted is not None:
                try:
                    scopes.allow(scope, self._caller(scope), wanted)
                except Unauthorized as error:
                    await self._refuse(error, scope, receive, send)
                    return
                except OffloadError as error:
                    await respond(error, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _refuse(self, error: Unauthorized, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401: to a browser that asks for a page by one that says how to open it, to all others by a problem."""
        if locked.is_asked_for(scope):
            await locked.locked(scope, error)(scope, receive, send)
        else:
            await respond(error, scope, receive, send)

    def _caller(self, scope: Scope) -> ApiKey:
        """Return the key that was presented; raises Unauthorized, TooManyFailures."""
        presented, address = _presented(scope), address_of(scope.get("client"))
        digest = hashlib.sha256(presented).digest()
        if wait := self._throttle.wait(address):
            may_be_a_guess = not is_generated(presented) and not self._throttle.knows(address, digest)
            if may_be_a_guess:
                raise TooManyFailures(wait)
        key = self._keys.with_digest(digest) if presented else None
        if key is not None:
            self._throttle.served(address, digest)
            return key
        if not presented:  # not a guess
            raise Unauthorized("API key required: `Authorization: Bearer <key>`")
        if self._throttle.failed(address):
            log.warning("wrong_keys_refused", client=address)
        raise Unauthorized("invalid or revoked API key")


def _presented(scope: Scope) -> bytes:
    """Return the bytes of the bearer key as they came, or nothing."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            return bytes(key.strip()) if scheme.lower() == b"bearer" else b""
    return b""
