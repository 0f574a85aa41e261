"""Who may call: whoever presents one of the configured keys."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import Unauthorized, refusal

_OPEN = ("/livez", "/readyz", "/problems/")


class Keys:
    """Answers 401 to calls without `Authorization: Bearer <one of the keys>`; probes and problem pages stay open."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(_OPEN) or self._fits(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        response = refusal(scope, Unauthorized("this call needs a key: `Authorization: Bearer <key>`"))
        assert response is not None  # noqa: S101 - it is in the table
        await response(scope, receive, send)

    def _fits(self, headers: Headers) -> bool:
        """Compare with every key, each in constant time, so that the time taken tells nothing."""
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        given = presented.strip().encode("latin-1")  # the bytes as they came
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return scheme.lower() == "bearer" and any(matches)
