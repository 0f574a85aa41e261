"""One HTTP request as a job: any method, guarded against private addresses, bounded in time and size."""

import asyncio
import base64
import math
import re
import time
import zlib
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal, Self

import httpx
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from offload import Artifact, Backoff, GiveUp, JobContext, Retry, job
from offload.domain.clock import now_ms, to_ms
from offload.jobs.inputs import Base64Text
from offload.jobs.ssrf import guarded_client

MAX_REDIRECTS = 5
LONGEST_WAIT = 24 * 3600.0
TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE = 429, 503
ROOM_FOR_THE_REST = 32 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|credential|signature|password|session", re.IGNORECASE)
_OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_NOT_REPEATABLE = frozenset({"POST", "PATCH"})


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers, or raise ValueError for one that is malformed or set by the client itself."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            msg = f"{name!r} is not a valid header name; allowed are letters, digits and !#$%&'*+-.^_`|~"
            raise ValueError(msg)
        if name.lower() in _OUR_HEADERS:
            msg = f"header {name!r} is derived from the request and cannot be set"
            raise ValueError(msg)
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            msg = f"header {name!r} contains a line break or another control character"
            raise ValueError(msg)
        if not value.isascii():
            msg = f"header {name!r} must be ASCII; encode other text as specified for this header"
            raise ValueError(msg)
    return headers


def check_url(url: str) -> str:
    """Return the URL, or raise ValueError if it is not a complete http(s) URL."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        msg = f"not a URL: {error}"
        raise ValueError(msg) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        msg = "must be a complete http: or https: URL, such as https://example.com/path"
        raise ValueError(msg)
    return url


def check_method(method: str) -> str:
    """Return the method in capitals, or raise ValueError for an invalid one and for CONNECT."""
    if not _TOKEN.fullmatch(method) or method.upper() == "CONNECT":
        msg = "must be a method such as GET or POST (CONNECT is not supported)"
        raise ValueError(msg)
    return method.upper()


Url = Annotated[str, Field(max_length=8192), AfterValidator(check_url)]
Headers = Annotated[dict[str, str], Field(max_length=100), AfterValidator(check_headers)]
Parameter = str | int | float | bool | None


class HttpRequest(BaseModel):
    """A request to send; at most one of `json`, `text`, `base64` is its body. `timeout` in seconds covers it all."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    method: Annotated[str, Field(max_length=32), AfterValidator(check_method)] = "GET"
    url: Url
    headers: Headers = Field(default_factory=dict)
    params: dict[str, Parameter | list[Parameter]] = Field(default_factory=dict)
    json_body: Any = Field(None, alias="json")
    text: str | None = None
    base64: Base64Text | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] = 30.0
    follow_redirects: bool = True
    raise_for_status: bool = False
    max_bytes: Annotated[int, Field(ge=0, le=10 * 1024 * 1024)] = 1024 * 1024
    save_as: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="store the body as an artifact of this name instead of in the result"
    )

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        bodies = [name for name in ("json_body", "text", "base64") if getattr(self, name) is not None]
        if len(bodies) > 1:
            msg = "specify at most one of json, text and base64"
            raise ValueError(msg)
        return self


class HttpResponse(BaseModel):
    """The response; `body` is text, or base64 if the body is not text; None if it was stored as an artifact.

    `truncated` says that the body went on after `max_bytes`.
    """

    status: int
    url: str
    headers: dict[str, str]
    body: str | None
    encoding: Literal["text", "base64"] | None
    size: int
    truncated: bool
    elapsed_ms: int
    redirects: int
    artifact: Artifact | None = None


@job(timeout=330, max_tries=5, keep_result=3600, backoff=Backoff(base=2.0))
async def request(ctx: JobContext, request: HttpRequest) -> HttpResponse:
    """Send an HTTP request to a public address and return the response.

    429, 5xx and connection trouble are tried again, `Retry-After` honoured; any other status is a result, unless
    `raise_for_status` makes a 4xx final. POST and PATCH carry the job's id as `Idempotency-Key`, since a request may be
    sent again after its answer was lost.
    """
    started = time.monotonic()
    allow_private = ctx.settings.allow_private_addresses
    try:
        async with (
            asyncio.timeout(request.timeout),
            await guarded_client(allow_private=allow_private, step_timeout=request.timeout) as client,
        ):
            outgoing = _build(ctx, client, request)
            response, redirects = await _send(client, outgoing, follow_redirects=request.follow_redirects)
            try:
                raise_for_trouble(response)
                body, truncated = await read_body(response, _room(ctx, request))
            finally:
                await response.aclose()
    except TimeoutError as error:
        msg = f"no complete response within {request.timeout:g} s"
        raise Retry(msg) from error
    except httpx.UnsupportedProtocol as error:
        raise GiveUp(str(error)) from error
    except httpx.TransportError as error:
        raise Retry(describe(error)) from error
    if request.raise_for_status and response.is_client_error:
        msg = f"{response.status_code} {response.reason_phrase} from {_shown(response.url)}"
        raise GiveUp(msg)
    return _result(ctx, request, response, body, truncated=truncated, redirects=redirects, started=started)


def _build(ctx: JobContext, client: httpx.AsyncClient, request: HttpRequest) -> httpx.Request:
    headers = httpx.Headers({"Accept-Encoding": "gzip, deflate", "User-Agent": "offload", **request.headers})
    if request.method in _NOT_REPEATABLE:
        headers.setdefault("Idempotency-Key", ctx.id)
    content = None if request.base64 is None else base64.b64decode(request.base64)
    if request.json_body is not None:
        content = orjson.dumps(request.json_body)
        headers.setdefault("Content-Type", "application/json")
    elif request.text is not None:
        content = request.text.encode()
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
    url = httpx.URL(request.url)
    if request.params:
        url = url.copy_merge_params(request.params)
    return client.build_request(request.method, url, headers=headers, content=content)


async def _send(
    client: httpx.AsyncClient, outgoing: httpx.Request, *, follow_redirects: bool
) -> tuple[httpx.Response, int]:
    """Send, and follow up to MAX_REDIRECTS redirects; return the last response, its body unread."""
    for redirects in range(MAX_REDIRECTS + 1):
        try:
            response = await client.send(outgoing, stream=True)
        except httpx.RemoteProtocolError as error:
            if isinstance(error.__context__, httpx.InvalidURL):
                raise GiveUp(describe(error)) from error
            raise
        if not follow_redirects or response.next_request is None:
            return response, redirects
        await response.aclose()
        outgoing = _without_secrets(outgoing, response.next_request)
    msg = f"more than {MAX_REDIRECTS} redirects, the last one to {_shown(outgoing.url)}"
    raise GiveUp(msg)


def _without_secrets(before: httpx.Request, after: httpx.Request) -> httpx.Request:
    """Remove headers that may hold a secret from a redirect to another origin, or from TLS to plain HTTP."""
    if _origin(before.url) != _origin(after.url):
        for name in [name for name in after.headers if _SECRET_HEADER.search(name)]:
            del after.headers[name]
    return after


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def raise_for_trouble(response: httpx.Response) -> None:
    """Raise Retry for 429 and 5xx, after the time in `Retry-After`."""
    if response.status_code != TOO_MANY_REQUESTS and not response.is_server_error:
        return
    msg = f"{response.status_code} {response.reason_phrase} from {_shown(response.url)}"
    if response.status_code in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE):
        raise Retry(msg, after=retry_after(response.headers.get("Retry-After"), now_ms()))
    raise Retry(msg)


def retry_after(value: str | None, at_ms: int) -> float | None:
    """Read a `Retry-After` header (RFC 9110, 10.2.3: seconds or a date) as seconds from `at_ms`, a day at most."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    due_ms = to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
    return min(max(0.0, (due_ms - at_ms) / 1000), LONGEST_WAIT)


async def read_body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Read up to `limit` bytes of the body and no more; return them, and whether there was more.

    A compressed body is unpacked after that, never beyond `limit`, so that a small bomb stays small.
    """
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > limit:
            break
    truncated = len(received) > limit
    body = bytes(received[:limit])
    if response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate") and body:
        return _unpacked(body, limit, truncated=truncated)
    return body, truncated


def _unpacked(packed: bytes, limit: int, *, truncated: bool) -> tuple[bytes, bool]:
    """Decompress gzip or zlib (or raw deflate, which some servers send as `deflate`)."""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        unpack = zlib.decompressobj(window)
        try:
            body = unpack.decompress(packed, limit + 1)
        except zlib.error:
            continue
        return body[:limit], truncated or len(body) > limit or not unpack.eof
    msg = "the body does not match its Content-Encoding"
    raise Retry(msg)


def _room(ctx: JobContext, request: HttpRequest) -> int:
    """Return the size limit of a body: the requested one, and no more than a result may hold (base64: 4/3)."""
    if request.save_as is not None:
        return request.max_bytes
    return min(request.max_bytes, max(0, ctx.settings.max_result_bytes - ROOM_FOR_THE_REST) * 3 // 4)


def _result(
    ctx: JobContext,
    request: HttpRequest,
    response: httpx.Response,
    body: bytes,
    *,
    truncated: bool,
    redirects: int,
    started: float,
) -> HttpResponse:
    artifact, shown, encoding = None, None, None
    if request.save_as is not None:
        media_type = response.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip()
        artifact = ctx.artifact(request.save_as, body, media_type)
    else:
        shown, encoding = _shown_body(response, body, ctx.settings.max_result_bytes - ROOM_FOR_THE_REST)
    return HttpResponse(
        status=response.status_code,
        url=_shown(response.url),
        headers=dict(response.headers),
        body=shown,
        encoding=encoding,
        size=len(body),
        truncated=truncated,
        elapsed_ms=math.ceil((time.monotonic() - started) * 1000),
        redirects=redirects,
        artifact=artifact,
    )


def _shown_body(response: httpx.Response, body: bytes, room: int) -> tuple[str, Literal["text", "base64"]]:
    """Return a body as text if it is text (and within `room` when escaped for JSON), else as base64."""
    charset = response.charset_encoding or "utf-8"
    try:
        text = body.decode(charset)
    except UnicodeDecodeError as error:
        # A cut may split the last character; any other error means that this is not text.
        text = body[: error.start].decode(charset, "replace") if error.end == len(body) else "\x00"
    except LookupError:
        text = "\x00"
    if "\x00" not in text and len(orjson.dumps(text)) <= room:
        return text, "text"
    return base64.b64encode(body).decode("ascii"), "base64"


def _shown(url: httpx.URL) -> str:
    """Render a URL without the user and password it may carry."""
    return str(url.copy_with(userinfo=b"")) if url.userinfo else str(url)


def describe(error: Exception) -> str:
    """Describe an error; some of httpx's have an empty message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
