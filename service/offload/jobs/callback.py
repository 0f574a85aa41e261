"""Notifies a receiver that a job has ended. Every process loads this function: the end of a job enqueues it.

`offload.jobs.webhook` has the signing and the delivery.
"""

import hashlib
import random
import re
from typing import Annotated

import orjson
from pydantic import AfterValidator

from offload import GiveUp, JobContext, Retry, job
from offload.domain.callbacks import FUNCTION, check_callback_url
from offload.domain.errors import NotFound
from offload.jobs.http import Url
from offload.jobs.webhook import Delivery, Refused, post

PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each further attempt of a callback, about three days in total: the schedule of Standard Webhooks."""
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9_:-]{1,200}", re.ASCII)


@job(name=FUNCTION, queue="webhook", timeout=70, max_tries=len(PAUSES) + 1)
async def callback(ctx: JobContext, url: Annotated[Url, AfterValidator(check_callback_url)]) -> Delivery:
    """Notify a receiver that a job has ended. Enqueued by the end of a job that has a `callback_url`.

    The body is `{"type": "job.succeeded", "timestamp": …, "data": <the document of the job>}`, with `job.dead` and
    `job.aborted` likewise, signed with OFFLOAD_WEBHOOK_SECRETS. Any response but 2xx is retried for about
    three days, except 410, which is final; redirects are not followed. Enqueued by hand it gives up: no job has ended.
    """
    try:
        event = await ctx.callback_event()
    except NotFound as error:
        msg = f"no ended job to report: {error}"
        raise GiveUp(msg) from error
    secrets = ctx.settings.webhook_secrets
    if not secrets:
        msg = "OFFLOAD_WEBHOOK_SECRETS is not set for this worker, and callbacks are always signed"
        raise Retry(msg, after=_pause(ctx.attempt))
    try:
        return await post(ctx, url, _callback_id(ctx.id), orjson.dumps(event), secrets)
    except (Refused, Retry) as error:
        asked_for = error.after if isinstance(error, Retry) else None
        raise Retry(str(error), after=max(asked_for or 0.0, _pause(ctx.attempt))) from error


def _callback_id(job_id: str) -> str:
    """Return the `webhook-id`, the same for all retries: the job's id, or a digest of an id that no header can hold."""
    if _WEBHOOK_ID.fullmatch(job_id):
        return job_id
    return f"callback:{hashlib.sha256(job_id.encode()).hexdigest()[:32]}"


def _pause(attempt: int) -> float:
    """Return the seconds to wait after an attempt, with a jitter of ten per cent, so that retries spread."""
    whole = PAUSES[min(attempt, len(PAUSES)) - 1]
    return whole * random.uniform(0.9, 1.1)  # noqa: S311 - keeps no secret
