"""Builds the web application from settings: job modules, the backend, the API."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from offload import loader, logs, wiring
from offload.api.breaker import Breaker
from offload.api.metrics.registry import Metrics
from offload.api.middleware.access_log import AccessLog
from offload.api.middleware.api_keys import ApiKeyAuth
from offload.api.middleware.head import Head
from offload.api.middleware.limits import Limits
from offload.api.middleware.loopback_only import LoopbackOnly
from offload.api.openapi import OffloadAPI
from offload.api.problems import responses
from offload.api.routes import (
    artifacts,
    bulk,
    enqueue,
    events,
    fleet,
    functions,
    jobs,
    metrics,
    pages,
    probes,
    queues,
    schedules,
    stalls,
)
from offload.api.state import State
from offload.domain.catalogue import Catalogue
from offload.domain.security.addresses import is_loopback
from offload.domain.security.api_keys import Keyring
from offload.domain.views import Defaults
from offload.loopwatch.asgi import StepClockMiddleware
from offload.loopwatch.reporter import Reporter
from offload.loopwatch.watch import WatchedLoop
from offload.settings import Settings, SettingsError, get_settings
from offload.store.fleet.stalls import StallWriter

_ABOUT = """Job functions as HTTP endpoints: enqueue with `POST /v1/functions/{name}/jobs`, which answers at once, then
wait for the job, follow its events, or get it later. Errors are `application/problem+json` (RFC 9457)."""

CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["*"],  # what the request asks for; keys come in a header, and never by themselves as cookies do
    "expose_headers": ["ETag", "Link", "Location", "Preference-Applied", "Retry-After", "X-Request-ID"],
    "max_age": 600,
}


def create_app(settings: Settings | None = None, catalogue: Catalogue | None = None) -> FastAPI:
    """Build the application; `uvicorn --factory offload.app:create_app` serves it.

    The API starts without Redis, and answers 503 until Redis is available.
    Raises SettingsError, JobsNotLoaded and InvalidDefinition.
    """
    settings = settings or get_settings()
    logs.configure(settings.log_level, settings.log_format)
    catalogue = catalogue or loader.load(settings.jobs)
    instruments = Metrics()
    app = OffloadAPI(
        catalogue,
        needs_key=bool(settings.api_keys),
        open_docs=settings.open_docs,
        fast_routes=[*enqueue.fast_routes, *jobs.fast_routes],
        docs_url=None,  # `pages` has it
        redoc_url=None,
        title="Offload",
        version=_version(),
        description=_ABOUT,
        lifespan=_lifespan(settings, catalogue, instruments),
        exception_handlers=responses.HANDLERS,
        redirect_slashes=False,
    )
    for room in (functions, jobs, bulk, events, artifacts, queues, schedules, fleet, stalls, probes, metrics, pages):
        app.include_router(room.router)
    app.add_middleware(Head)
    _guard(app, settings, instruments)
    return app


def _guard(app: FastAPI, settings: Settings, instruments: Metrics) -> None:
    """Add the middleware; the last one added is the outermost."""
    keys = Keyring.of([key.get_secret_value() for key in settings.api_keys])
    if keys:
        app.add_middleware(ApiKeyAuth, keys=keys, open_docs=settings.open_docs)
    else:
        app.add_middleware(LoopbackOnly, hosts=settings.allowed_hosts, origins=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    app.add_middleware(Limits, body=settings.max_body_bytes, seconds=settings.request_timeout)
    app.add_middleware(AccessLog, hsts_seconds=settings.hsts_seconds, note=instruments.request)
    app.add_middleware(
        StepClockMiddleware, slot=lambda: loop.slot if (loop := getattr(app.state, "loop", None)) else None
    )


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError if other machines could reach the API without a key."""
    if settings.api_keys or is_loopback(settings.host):
        return
    raise SettingsError(
        f"OFFLOAD_HOST: {settings.host!r} is reachable from other machines, so OFFLOAD_API_KEYS must be set; "
        "without keys the API listens on loopback addresses only"
    )


def _lifespan(
    settings: Settings, catalogue: Catalogue, instruments: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            wiring.connect(settings, catalogue, must_answer=False) as backend,
            Breaker(backend.inspector.ready) as breaker,
            _watched(settings, backend.stalls, instruments) as loop,
        ):
            app.state.loop = loop
            defaults = Defaults(settings.max_tries, settings.job_timeout, settings.keep_result, settings.loop_budget_ms)
            app.state.offload = State(
                backend.client, backend.inspector, backend.operations, defaults, backend.outage, instruments, breaker
            )
            yield

    return lifespan


@asynccontextmanager
async def _watched(settings: Settings, writer: StallWriter, instruments: Metrics) -> AsyncIterator[WatchedLoop]:
    """Watch the loop that this runs on."""
    reporter = Reporter("api", None, writer)
    loop = WatchedLoop(reporter, settings.stall_ms / 1000)
    instruments.watches(loop)
    await loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


def _version() -> str:
    try:
        return version("offload")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
