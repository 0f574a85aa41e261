"""Webhooks, signed as https://www.standardwebhooks.com says, delivered until the receiver takes them."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import time
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import to_json

from jobs.guard import guarded_client
from jobs.http import Headers, Url, describe, raise_for_trouble, read_body
from service import Backoff, GiveUp, JobContext, Retry, job
from service.domain.clock import now_ms

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret
GONE = 410
SHOWN_BYTES = 2048


def check_secret(secret: SecretStr) -> SecretStr:
    """Return the secret, or raise ValueError where it is not `whsec_` and base64 of 24 to 64 bytes."""
    try:
        key = secret_key(secret)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        msg = "must be 'whsec_' followed by the base64 of 24 to 64 random bytes"
        raise ValueError(msg)
    return secret


def secret_key(secret: SecretStr) -> bytes:
    """Return the key bytes of a `whsec_…` secret; empty without that prefix."""
    text = secret.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        return b""
    return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)


Secret = Annotated[SecretStr, AfterValidator(check_secret)]


class Webhook(BaseModel):
    """An event for a receiver. Two secrets while a new one is being rolled out: the receiver may hold either.

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
    """The receiver's answer to the attempt that it took."""

    status: int
    webhook_id: str
    attempt: int
    elapsed_ms: int
    response: str


@job(queue="webhook", timeout=70, max_tries=10, backoff=Backoff(base=5.0, factor=3.0, limit=6 * 3600.0))
async def deliver(ctx: JobContext, webhook: Webhook) -> Delivery:
    """POST a signed event to a receiver, again and again until it answers 2xx.

    429, 5xx and connection trouble are tried again, `Retry-After` honoured. 410 (the receiver is gone), any other 4xx
    and a redirect end it: neither gets better by itself.
    """
    started = time.monotonic()
    body = to_json(webhook.payload)
    webhook_id = webhook.id or f"msg_{ctx.id}"
    headers = {**webhook.headers, **signed_headers(webhook_id, now_ms() // 1000, body, webhook.secrets)}
    allow_private = ctx.settings.allow_private_addresses
    try:
        async with (
            asyncio.timeout(webhook.timeout),
            await guarded_client(allow_private=allow_private, step_timeout=webhook.timeout) as client,
            client.stream("POST", webhook.url, content=body, headers=headers) as response,
        ):
            _raise_unless_taken(response)
            answer, _ = await read_body(response, SHOWN_BYTES)
    except TimeoutError as error:
        msg = f"the receiver gave no answer within {webhook.timeout:g} s"
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
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret_key(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "Content-Type": "application/json",
        "User-Agent": "offload-webhook",
        "Accept-Encoding": "identity",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def _raise_unless_taken(response: httpx.Response) -> None:
    if response.is_success:
        return
    raise_for_trouble(response)
    said = f"the receiver answered {response.status_code} {response.reason_phrase}"
    if response.status_code == GONE:
        msg = f"{said}: it is gone for good; take it off your list"
        raise GiveUp(msg)
    if response.is_redirect:
        msg = f"{said}: redirects are not followed; deliver to {response.headers.get('Location')!r} itself"
        raise GiveUp(msg)
    raise GiveUp(said)
