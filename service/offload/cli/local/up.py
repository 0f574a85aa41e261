"""`offload up`: runs the whole service on this machine until Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Annotated, Any

import typer
from rich.console import Console

from offload import loader, wiring
from offload.cli import errors, listening, published_address, session
from offload.cli.commands.stalls import FailOnStall, check_watched, exit_if_blamed, recent
from offload.cli.local import console, reload
from offload.cli.local.race import first_of
from offload.cli.local.stack import Plan, Refused, Stack, embedded_redis, running, wait_until_gone
from offload.cli.local.suggestion import suggest
from offload.cli.published_address import RunningUp
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.filters import StallFilter
from offload.domain.security.addresses import is_loopback
from offload.settings import Settings, unknown_variables
from offload.store.embedded.server import EmbeddedRedis

_RELOAD_GRACE = 2.0  # Under --reload a change should show soon: running jobs are interrupted and requeued.

_REDIS_PAUSE = 1.0


def up(
    host: Annotated[str | None, typer.Option(help="Address of the API.", show_default="OFFLOAD_HOST")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the API; 0 picks a free one.", show_default="OFFLOAD_PORT"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=100, help="Number of worker processes.")] = 1,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart the API and workers when the code of the job modules changes.")
    ] = False,
    fail_on_stall: FailOnStall = False,
) -> None:
    """Start Redis, the API and workers on this machine, and keep them running until Ctrl-C.

    Redis is embedded unless OFFLOAD_REDIS_URL is set. Other commands in the same directory find it.
    """
    settings = session.settings(host=host, port=port)
    check_watched(settings, fails=fail_on_stall)
    if not is_loopback(settings.host):
        from offload.app import check_exposure  # noqa: PLC0415 - FastAPI comes with it, which most do without here

        check_exposure(settings)
    for warning in unknown_variables():
        errors.write_stderr(f"warning: {warning}")
    with contextlib.closing(listening.listen(settings)) as listener:
        run = _Up(settings, listener, workers, reloads=reload, fails=fail_on_stall)
        try:
            asyncio.run(run.run())
        except Refused:  # The process has printed the reason.
            raise typer.Exit(errors.UNREACHABLE) from None
    if fail_on_stall:
        exit_if_blamed(run.stalls)


class _Up:
    """One run of `offload up`."""

    def __init__(self, settings: Settings, listener: socket, workers: int, *, reloads: bool, fails: bool) -> None:
        is_json = settings.log_format == "json"
        modules = loader.job_modules(settings.jobs)
        changes: dict[str, object] = {
            "jobs": modules,
            "host": settings.host,
            "port": listener.getsockname()[1],
            "log_format": "json" if is_json else "console",
        }
        if reloads:
            changes["shutdown_grace"] = min(settings.shutdown_grace, _RELOAD_GRACE)
        self._plan = Plan(settings, workers, changes, waits_for_change=reloads)
        self._listener = listener
        self._modules = modules
        self._console = console.on_terminal(colours=Console().color_system is not None, plain=is_json)
        self._is_quiet = is_json
        self._reloads = reloads
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._fails = fails
        self._since_ms = now_ms()
        self.stalls: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Run until asked to stop; if the embedded Redis dies, start everything again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._request_stop)
        while not self._stop.is_set():
            async with self._redis() as (url, redis):
                await self._run_stack(url, redis)

    def _request_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._say("\nstopping; press Ctrl-C again to stop at once" if sys.stdout.isatty() else "stopping")
        self._stop.set()

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[tuple[str, EmbeddedRedis | None]]:
        """Start an embedded Redis unless an address is set, and publish this `up`."""
        settings = self._plan.settings
        url = settings.redis_url_or("embedded")
        if url != "embedded":
            async with wiring.connect(settings, Catalogue()):  # Raises Unavailable, in one line, if it does not answer.
                pass
            with self._published(None):
                yield url, None
            return
        async with embedded_redis(settings) as redis:
            with self._published(redis.url):
                yield redis.url, redis

    def _published(self, redis_url: str | None) -> AbstractContextManager[None]:
        """Let other commands find this `up` during a block."""
        api_url = listening.url_of(self._listener)
        up = RunningUp(redis_url, tuple(self._modules), str(Path.cwd()), api_url, os.getpid())
        return published_address.published(self._plan.settings.data_dir, up)

    async def _run_stack(self, url: str, redis: EmbeddedRedis | None) -> None:
        """Run API and workers until asked to stop, or until Redis or one of them cannot work."""
        async with running(self._plan, self._listener, url, self._console) as stack:
            ends = [self._stop.wait(), self._serve(stack), stack.refused()]
            ended = await first_of(*ends, *([wait_until_gone(redis)] if redis else []))
            if ended == 2:
                raise Refused
            if ended == 3:
                errors.write_stderr("warning: the embedded Redis died; restarting everything")
                stack.hurry()
                await first_of(self._stop.wait(), timeout=_REDIS_PAUSE)
            await first_of(stack.stop(), self._hurry_on_request(stack))
            if self._fails:
                with contextlib.suppress(Unavailable):
                    self.stalls = await self._stalls(url)

    async def _stalls(self, url: str) -> list[dict[str, Any]]:
        """Return the stalls since this `up` started."""
        settings = self._plan.settings.model_copy(update={"redis_url": url})
        async with wiring.connect(settings, Catalogue(), must_answer=False) as offload:
            return await recent(offload, StallFilter(after_ms=self._since_ms))

    async def _serve(self, stack: Stack) -> None:
        """Print the banner once all is ready, and restart at each change of the code."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announce(stack))
            if self._reloads:
                group.create_task(reload.watch(self._modules, lambda: self._start_over(stack)))
            await self._stop.wait()

    async def _announce(self, stack: Stack) -> None:
        with contextlib.suppress(Refused):
            await stack.ready()
            self._say(banner(self._plan, self._modules, stack.url, suggest(await stack.functions())))
            while True:
                await self._changed.wait()
                self._changed.clear()
                await stack.ready()
                self._say("ready again")

    async def _hurry_on_request(self, stack: Stack) -> None:
        await self._hurry.wait()
        stack.hurry()
        await asyncio.Event().wait()

    def _start_over(self, stack: Stack) -> None:
        self._console.forget_refusals()
        stack.start_over()
        self._changed.set()

    def _say(self, text: str) -> None:
        if not self._is_quiet:
            print(text, flush=True)


def banner(plan: Plan, modules: Sequence[str], url: str, suggestion: str) -> str:
    """Return the lines that are printed when everything is ready: where to go, and a command to try."""
    is_embedded = plan.settings.redis_url_or("embedded") == "embedded"
    rows = {
        "API": f"{url}/v1  (docs: {url}/docs)",
        "Redis": f"embedded, data in {plan.settings.data_dir}/" if is_embedded else "set by OFFLOAD_REDIS_URL",
        "Workers": str(plan.workers),
        "Jobs": f"loaded from {', '.join(modules)}",
        "Try": suggestion,
        "Stop": "Ctrl-C",
    }
    return "\n".join(["", "Offload is up.", *(f"  {name:<8} {text}" for name, text in rows.items()), ""])
