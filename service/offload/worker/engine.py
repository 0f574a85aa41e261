"""From arq's arguments to the parts of one run: how arq takes our functions, and the `Plan` of what it was given."""

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import structlog
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker as ArqWorker
from arq.worker import func

from offload.domain.errors import Unavailable
from offload.domain.functions import JobFunction
from offload.loopwatch.reporter import Reporter
from offload.loopwatch.watched import WatchedLoop
from offload.store.connection import connection
from offload.store.fleet.stalls import StallWriter
from offload.store.guardian import connect as connect_blocking
from offload.store.guardian import portable
from offload.store.jobs.codec import Codec
from offload.worker.attempt.prepare import Rules
from offload.worker.attempt.run import Hooks
from offload.worker.parts import Plan

if TYPE_CHECKING:
    from offload.worker.worker import Worker

log = structlog.get_logger(__name__)


def plan(worker: "Worker") -> Plan:
    """Return what the parts of a connected worker are made from."""
    return Plan(
        worker=worker.worker_id,
        queues=worker.queue_names,
        functions=dict(worker.found),
        options=worker.offload,
        rules=_rules(worker),
        hooks=Hooks(worker.ctx, worker.on_job_start, worker.on_job_end, worker.after_job_end),
        codec=Codec.custom(worker.job_serializer, worker.job_deserializer),
        max_jobs=worker.max_jobs,
        poll=worker.poll_delay_s,
        address=_address(worker),
        redis=worker.pool,
        words=worker.words,
    )


async def connect(worker: "Worker") -> ArqRedis:
    """Return a connection by the worker's settings, tried as often as they say; raises Unavailable."""
    settings = cast("Any", worker.redis_settings)
    pool = connection.client(
        settings,
        job_serializer=worker.job_serializer,
        job_deserializer=worker.job_deserializer,
        default_queue_name=worker.queue_name,
        expires_extra_ms=worker.expires_extra_ms,
    )
    for left in reversed(range(settings.conn_retries + 1)):
        try:
            await connection.check(pool, str(settings.unix_socket_path or f"{settings.host}:{settings.port}"))
        except Unavailable as error:
            if left == 0:
                raise
            log.warning("redis_unreachable", error=str(error), tries_left=left)
            await asyncio.sleep(settings.conn_retry_delay)
        else:
            break
    return pool


def watched(worker: "Worker") -> WatchedLoop:
    """Return the watch over the worker's loop; it begins before anything of the user's runs there."""
    stalls = StallWriter(partial(connect_blocking, portable(_address(worker))), worker.worker_id)
    reporter = Reporter("worker", worker.worker_id, stalls)
    return WatchedLoop(reporter, worker.offload.stall_seconds, stalls.close)


def _address(worker: "Worker") -> RedisSettings:
    return worker.redis_settings or connection.settings_of_client(worker.pool)


def _rules(worker: "Worker") -> Rules:
    options = worker.offload
    return Rules(
        max_tries=worker.max_tries,
        timeout=worker.job_timeout_s,
        keep_result=-1 if worker.keep_result_forever else worker.keep_result_s,
        retention=options.kept(worker.keep_result_s),
        max_result_bytes=options.max_result_bytes,
        unknown_function_grace=options.unknown_function_grace,
        retry_jobs=worker.retry_jobs,
        allow_abort_jobs=worker.allow_abort_jobs,
        loop_budget_ms=options.loop_budget_ms,
    )


def for_arq(one: Any) -> Any:
    """Return something that arq's constructor takes for one of our functions; it is never called by arq."""
    if not isinstance(one, JobFunction):
        return one

    async def stands_for(ctx: dict[Any, Any]) -> None:
        """Run nothing: `offload.worker.attempt.run` runs the function itself."""

    return func(stands_for, name=one.name, timeout=one.timeout, max_tries=one.max_tries)


def signature() -> inspect.Signature:
    """Return arq's parameters and ours: `arq.worker.get_kwargs` takes from a WorkerSettings what stands here."""
    theirs = [p for name, p in inspect.signature(ArqWorker).parameters.items()]
    ours = inspect.Parameter("offload", inspect.Parameter.KEYWORD_ONLY, default=None)
    return inspect.Signature([*theirs, ours])
