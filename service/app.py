"""The web process put together: job modules, Redis, the API. Nothing else knows all three."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address

from fastapi import FastAPI

from service import loader, logs, wiring
from service.api import artifacts, events, fleet, functions, jobs, pages, probes, problems
from service.api.access import Access
from service.api.keys import Keys
from service.api.limits import BodyLimit
from service.api.openapi import Documented
from service.api.state import Defaults, State
from service.domain.catalogue import Catalogue
from service.settings import Settings, SettingsError, get_settings

_ABOUT = """Job functions as HTTP endpoints: put work in with `POST /v1/functions/{name}/jobs`, which answers at once,
then wait for it, follow it, or come back for it. Whatever goes wrong is `application/problem+json` (RFC 9457)."""


def create_app(settings: Settings | None = None, catalogue: Catalogue | None = None) -> FastAPI:
    """Build the application; `uvicorn --factory service.app:create_app` serves it.

    Redis need not be there: the API starts without it and answers 503 until it is.
    Raises SettingsError, JobsNotLoaded and InvalidDefinition.
    """
    settings = settings or get_settings()
    logs.configure(settings.log_level, settings.log_format)
    catalogue = catalogue or loader.load(settings.jobs)
    app = Documented(
        catalogue,
        needs_key=bool(settings.api_keys),
        title="Offload",
        version=_version(),
        description=_ABOUT,
        lifespan=_lifespan(settings, catalogue),
        exception_handlers=problems.HANDLERS,
        redirect_slashes=False,
    )
    for room in (functions, jobs, events, artifacts, fleet, probes, pages):
        app.include_router(room.router)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    if settings.api_keys:
        app.add_middleware(Keys, keys=[key.get_secret_value() for key in settings.api_keys])
    app.add_middleware(Access)  # the last one added is the outermost
    return app


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError where the API would be open to others than this machine without asking for a key."""
    if settings.api_keys or _is_loopback(settings.host):
        return
    raise SettingsError(
        f"OFFLOAD_HOST: {settings.host!r} can be reached from other machines, so OFFLOAD_API_KEYS must be set; "
        "without keys the API listens on 127.0.0.1 only"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lifespan(settings: Settings, catalogue: Catalogue) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with wiring.connect(settings, catalogue, must_answer=False) as offload:
            defaults = Defaults(settings.max_tries, settings.job_timeout, settings.keep_result)
            app.state.offload = State(offload.client, offload.inspector, defaults, offload.away)
            yield

    return lifespan


def _version() -> str:
    try:
        return version("offload")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
