"""Webhooks, signed as specified by https://www.standardwebhooks.com, retried until the receiver accepts them.

`deliver` sends the caller's own event; `offload.jobs.callback` notifies about the end of a job.
"""

import asyncio
import math
import time
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import to_json

from offload import Backoff, GiveUp, JobContext, Retry, job
from offload.domain.clock import now_ms
from offload.domain.security.signing import check_secret, signature
from offload.jobs.http import Headers, Url, describe, raise_for_trouble, read_body
from offload.jobs.ssrf import guarded_client

GONE = 410
SHOWN_BYTES = 2048
ANSWER_TIMEOUT = 15.0


class Refused(GiveUp):
    """The receiver rejected the webhook: a redirect, or any 4xx except 410 and 429."""


Secret = Annotated[SecretStr, AfterValidator(check_secret)]


class Webhook(BaseModel):
    """An event for a receiver. Two secrets during a rotation: the receiver may have either.

    `id` names the event to the receiver, which uses it to drop repeats; without one it is the job's own.
    """

    model_config = ConfigDict(extra="forbid")

    url: Url
    payload: Any
    secrets: Annotated[list[Secret], Field(min_length=1, max_length=2)]
    headers: Headers = Field(default_factory=dict)
    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_:-]+$")] | None = None
    timeout: Annotated[float, Field(gt=0, le=60)] = 15.0


class Delivery(BaseModel):
    """The receiver's response to the successful attempt."""

    status: int
    webhook_id: str
    attempt: int
    elapsed_ms: int
    response: str


@job(queue="webhook", timeout=70, max_tries=10, backoff=Backoff(base=5.0, factor=3.0, limit=6 * 3600.0))
async def deliver(ctx: JobContext, webhook: Webhook) -> Delivery:
    """POST a signed event to a receiver, and retry until it responds with 2xx.

    429, 5xx and connection trouble are tried again, `Retry-After` honoured. 410 (the receiver is gone), any other 4xx
    and a redirect end it: a retry would not help.
    """
    body, webhook_id = to_json(webhook.payload), webhook.id or f"msg_{ctx.id}"
    return await post(ctx, webhook.url, webhook_id, body, webhook.secrets, webhook.headers, webhook.timeout)


async def post(
    ctx: JobContext,
    url: str,
    webhook_id: str,
    body: bytes,
    secrets: list[SecretStr],
    headers: dict[str, str] | None = None,
    timeout: float = ANSWER_TIMEOUT,
) -> Delivery:
    """POST once; raise Retry if that may help, Refused or GiveUp if the receiver or the guard rejected it."""
    started = time.monotonic()
    headers = {**(headers or {}), **signed_headers(webhook_id, now_ms() // 1000, body, secrets)}
    allow_private = ctx.settings.allow_private_addresses
    try:
        async with (
            asyncio.timeout(timeout),
            await guarded_client(allow_private=allow_private, step_timeout=timeout) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            _raise_unless_taken(response)
            answer, _ = await read_body(response, SHOWN_BYTES)
    except TimeoutError as error:
        msg = f"the receiver did not respond within {timeout:g} s"
        raise Retry(msg) from error
    except httpx.TransportError as error:
        raise Retry(describe(error)) from error
    return Delivery(
        status=response.status_code,
        webhook_id=webhook_id,
        attempt=ctx.attempt,
        elapsed_ms=math.ceil((time.monotonic() - started) * 1000),
        response=answer.decode("utf-8", "replace"),
    )


def signed_headers(webhook_id: str, timestamp: int, body: bytes, secrets: list[SecretStr]) -> dict[str, str]:
    """Return the headers of a signed webhook; `timestamp` in seconds since the epoch, one signature for each secret."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "offload-webhook",
        "Accept-Encoding": "identity",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, webhook_id, timestamp, body),
    }


def _raise_unless_taken(response: httpx.Response) -> None:
    if response.is_success:
        return
    raise_for_trouble(response)
    answer = f"the receiver responded with {response.status_code} {response.reason_phrase}"
    if response.status_code == GONE:
        msg = f"{answer}: it is gone permanently; remove it from your list"
        raise GiveUp(msg)
    if response.is_redirect:
        msg = f"{answer}: redirects are not followed; deliver to {response.headers.get('Location')!r} itself"
        raise Refused(msg)
    raise Refused(answer)
