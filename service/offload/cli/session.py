"""What a command needs before it can do anything: settings, job modules, Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from offload import loader, logs, wiring
from offload.cli import published_address
from offload.domain.catalogue import Catalogue
from offload.domain.errors import Unavailable
from offload.settings import Settings, load_settings
from offload.wiring import Backend

T = TypeVar("T")


def settings(**flags: object) -> Settings:
    """Return the settings; flags that were given win over the environment. Raises SettingsError."""
    return load_settings(**{name: value for name, value in flags.items() if value is not None})


def with_redis(settings: Settings) -> Settings:
    """Return settings with a real address: where none is set, the embedded Redis of an `offload up` on this directory.

    Raises Unavailable where `embedded` is asked for and none runs.
    """
    if settings.redis_url_or("embedded") != "embedded":
        return settings
    found = published_address.find(settings.data_dir)
    if found:
        return settings.model_copy(update={"redis_url": found})
    if settings.redis_url == "embedded":
        raise Unavailable(
            f"OFFLOAD_REDIS_URL is 'embedded', and no `offload up` runs on {str(settings.data_dir)!r}: start one"
        )
    return settings


def load_jobs(settings: Settings) -> Catalogue:
    """Import the job modules; raises JobsNotLoaded, InvalidDefinition."""
    return loader.load(settings.jobs)


@asynccontextmanager
async def connected(settings: Settings, catalogue: Catalogue) -> AsyncIterator[Backend]:
    """Connect to Redis; raises Unavailable, which says how to get one where nobody said which to use."""
    nobody_said = "redis_url" not in settings.model_fields_set
    try:
        async with wiring.connect(settings, catalogue) as offload:
            nobody_said = False
            yield offload
    except Unavailable as error:
        if nobody_said:
            raise Unavailable(f"{str(error).rstrip('.')}; `offload up` starts one, or set OFFLOAD_REDIS_URL") from None
        raise


def run(work: Callable[[Backend], Awaitable[T]]) -> T:
    """Do a piece of work on the queues: read the settings, load the jobs, connect, do it, disconnect."""
    found = with_redis(settings())
    logs.configure("WARNING" if found.log_level == "INFO" else found.log_level, found.log_format)
    catalogue = load_jobs(found)

    async def connect_and_work() -> T:
        async with connected(found, catalogue) as offload:
            return await work(offload)

    return asyncio.run(connect_and_work())
