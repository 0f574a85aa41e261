"""Prepares a command: settings, job modules, the connection to Redis."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from offload import loader, logs, wiring
from offload.cli import published_address
from offload.domain.catalogue import Catalogue
from offload.domain.errors import Unavailable
from offload.settings import Settings, load_settings
from offload.wiring import Backend

T = TypeVar("T")

_FROM_UP = "loaded by the running `offload up`"


def settings(**flags: object) -> Settings:
    """Return the settings; flags that were given win over the environment. Raises SettingsError."""
    return load_settings(**{name: value for name, value in flags.items() if value is not None})


def with_redis(settings: Settings) -> Settings:
    """Return settings with a Redis address: if none is set, that of an `offload up` on this data directory.

    Raises Unavailable if `embedded` is set and none runs.
    """
    if settings.redis_url_or("embedded") != "embedded":
        return settings
    up = published_address.find(settings.data_dir)
    if up is not None and up.redis_url is not None:
        return settings.model_copy(update={"redis_url": up.redis_url})
    if settings.redis_url == "embedded":
        raise Unavailable(
            f"OFFLOAD_REDIS_URL is 'embedded', but no `offload up` runs on {str(settings.data_dir)!r}; start it first"
        )
    return settings


@dataclass(frozen=True)
class JobModules:
    """The job modules that a command loads, and where their names come from."""

    names: list[str]
    source: str

    def __str__(self) -> str:
        return f"job modules: {', '.join(self.names)} ({self.source})"


def job_modules(settings: Settings) -> JobModules:
    """Return the modules of OFFLOAD_JOBS, else those of an `offload up` that runs in this directory, else the default.

    An `up` of another directory is passed over: its modules may mean others here, or nothing.
    """
    if "jobs" in settings.model_fields_set:
        return JobModules(loader.job_modules(settings.jobs), "OFFLOAD_JOBS")
    up = published_address.find(settings.data_dir)
    if up is not None and up.directory == str(Path.cwd()):
        return JobModules(loader.job_modules(up.jobs), _FROM_UP)
    return JobModules(loader.job_modules(), "default")


def with_jobs(settings: Settings) -> Settings:
    """Return settings that name the job modules of the running `offload up`, where `job_modules` chooses them."""
    modules = job_modules(settings)
    return settings.model_copy(update={"jobs": modules.names}) if modules.source == _FROM_UP else settings


def actor() -> str:
    """Return `cli:<user>`, the name of this person in the audit.

    It is the account of the process: an environment variable could be set to anything.
    """
    try:
        import pwd  # noqa: PLC0415 - not on every platform

        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except (ImportError, KeyError):
        return f"cli:{os.getuid() if hasattr(os, 'getuid') else 'unknown'}"


def load_jobs(settings: Settings) -> Catalogue:
    """Import the job modules; raises JobsNotLoaded, InvalidDefinition."""
    return loader.load(job_modules(settings).names)


@asynccontextmanager
async def connected(settings: Settings, catalogue: Catalogue) -> AsyncIterator[Backend]:
    """Connect to Redis; raises Unavailable, which says how to get one if no address is set."""
    is_default = "redis_url" not in settings.model_fields_set
    try:
        async with wiring.connect(settings, catalogue) as offload:
            is_default = False
            yield offload
    except Unavailable as error:
        if is_default:
            raise Unavailable(
                f"{str(error).rstrip('.')}; start one with `offload up`, or set OFFLOAD_REDIS_URL"
            ) from None
        raise


def run(work: Callable[[Backend], Awaitable[T]]) -> T:
    """Run `work` with a connection: read the settings, load the job modules, connect, disconnect."""
    current = with_redis(with_jobs(settings()))
    logs.configure("WARNING" if current.log_level == "INFO" else current.log_level, current.log_format)
    catalogue = load_jobs(current)

    async def connect_and_work() -> T:
        async with connected(current, catalogue) as offload:
            return await work(offload)

    return asyncio.run(connect_and_work())
