"""The place where plans meet httpx: builds requests, reads answers and failures."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from offload.sdk.effects import Lost, Reply, Request

QUIET_S = 45.0  # the service sends a comment every 15 s; a stream that is silent for three of them is dead
KEEP_ALIVE_S = 3.0  # less than uvicorn's 5, so that no request is sent into a connection that is just being closed
MAX_CONNECTIONS = 500  # each wait and each stream holds one; many systems allow a process 1,024 files
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
FAILURES = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
"""Failures that may pass. A wrong URL, or a request that HTTP cannot express, is an error of the caller."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address, API key and timeout (s) of every request."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout: float

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url={self.base_url!r} must be a URL such as http://127.0.0.1:8000")

    def build(
        self, http: httpx.Client | httpx.AsyncClient, request: Request, *, is_stream: bool = False
    ) -> httpx.Request:
        """Build the httpx request."""
        headers = {"Accept": "text/event-stream" if is_stream else "application/json", **request.headers}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        quiet = max(QUIET_S, self.timeout) if is_stream else self.timeout + request.hold
        return http.build_request(
            request.method,
            self.base_url.rstrip("/") + request.path,
            params=list(request.params) or None,
            content=request.content,
            headers=headers,
            timeout=httpx.Timeout(self.timeout, read=quiet),
        )


def client_options() -> dict[str, Any]:
    """Return the options of the SDK's own httpx client; it reads no environment: no proxy, no netrc."""
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE_S)
    return {"trust_env": False, "limits": limits, "headers": {"User-Agent": "offload-sdk"}}


def read_reply(response: httpx.Response, content: bytes = b"") -> Reply:
    """Read an answer."""
    return Reply(response.status_code, response.headers, content)


def read_failure(error: httpx.HTTPError) -> Lost:
    """Read a failure; its class is part of the text, since many errors of httpx have no message."""
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Lost(why, not isinstance(error, _UNSENT))
