"""`offload up`: the whole service on this machine, until Ctrl-C."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket
from typing import Annotated, Any

import typer
from rich.console import Console

from offload import loader, wiring
from offload.cli import errors, listening, published_address, session
from offload.cli.commands.stalls import FailOnStall, check_watched, exit_if_blamed, recent
from offload.cli.local import console, reload
from offload.cli.local.race import first_of
from offload.cli.local.stack import Plan, Refused, Stack, embedded_redis, gone, running
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.filters import StallFilter
from offload.domain.security.addresses import is_loopback
from offload.settings import Settings, unknown_variables
from offload.store.embedded.server import EmbeddedRedis

_RELOAD_GRACE = 2.0  # Under --reload a change should show soon: what runs is interrupted, and put back.

_REDIS_PAUSE = 1.0


def up(
    host: Annotated[str | None, typer.Option(help="Address of the API.  [default: OFFLOAD_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the API.  [default: OFFLOAD_PORT]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=100, help="How many worker processes.")] = 1,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start API and workers anew when the jobs' code changes.")
    ] = False,
    fail_on_stall: FailOnStall = False,
) -> None:
    """Start Redis, the API and workers, and stay up: http://127.0.0.1:8000."""
    settings = session.settings(host=host, port=port)
    check_watched(settings, fails=fail_on_stall)
    if not is_loopback(settings.host):
        from offload.app import check_exposure  # noqa: PLC0415 - FastAPI comes with it, which most do without here

        check_exposure(settings)
    for warning in unknown_variables():
        errors.say(f"warning: {warning}")
    with contextlib.closing(listening.listen(settings)) as listener:
        one = _Up(settings, listener, workers, reloads=reload, fails=fail_on_stall)
        try:
            asyncio.run(one.run())
        except Refused:  # Why, it has said itself.
            raise typer.Exit(errors.UNREACHABLE) from None
    if fail_on_stall:
        exit_if_blamed(one.stalls)


class _Up:
    """One run of `offload up`."""

    def __init__(self, settings: Settings, listener: socket, workers: int, *, reloads: bool, fails: bool) -> None:
        is_json = settings.log_format == "json"
        changes: dict[str, object] = {
            "host": settings.host,
            "port": listener.getsockname()[1],
            "log_format": "json" if is_json else "console",
        }
        if reloads:
            changes["shutdown_grace"] = min(settings.shutdown_grace, _RELOAD_GRACE)
        self._plan = Plan(settings, workers, changes, waits_for_change=reloads)
        self._listener = listener
        self._voices = console.on_terminal(colours=Console().color_system is not None, plain=is_json)
        self._is_quiet = is_json
        self._reloads = reloads
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._fails = fails
        self._since_ms = now_ms()
        self.stalls: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Stay up until told to stop; where the embedded Redis dies, start everything anew."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)
        while not self._stop.is_set():
            async with self._redis() as (url, redis):
                await self._live(url, redis)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._say("\nstopping; once more to stop at once" if sys.stdout.isatty() else "stopping")
        self._stop.set()

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[tuple[str, EmbeddedRedis | None]]:
        """Start an embedded Redis, and let others find it, unless there is one at an address."""
        settings = self._plan.settings
        url = settings.redis_url_or("embedded")
        if url != "embedded":
            async with wiring.connect(settings, Catalogue()):  # Raises Unavailable, in one line, where none is there.
                pass
            yield url, None
            return
        async with embedded_redis(settings) as redis:
            with published_address.published(settings.data_dir, redis.url):
                yield redis.url, redis

    async def _live(self, url: str, redis: EmbeddedRedis | None) -> None:
        """Run API and workers until told to stop, or until Redis or one of them cannot go on."""
        async with running(self._plan, self._listener, url, self._voices) as stack:
            ends = [self._stop.wait(), self._serve(stack), stack.refused()]
            ended = await first_of(*ends, *([gone(redis)] if redis else []))
            if ended == 2:
                raise Refused
            if ended == 3:
                errors.say("warning: the embedded Redis ended; everything starts anew")
                stack.hurry()
                await first_of(self._stop.wait(), timeout=_REDIS_PAUSE)
            await first_of(stack.stop(), self._hurries(stack))
            if self._fails:
                with contextlib.suppress(Unavailable):
                    self.stalls = await self._stalls(url)

    async def _stalls(self, url: str) -> list[dict[str, Any]]:
        """Return what has held a loop since all this began."""
        settings = self._plan.settings.model_copy(update={"redis_url": url})
        async with wiring.connect(settings, Catalogue(), must_answer=False) as offload:
            return await recent(offload, StallFilter(after_ms=self._since_ms))

    async def _serve(self, stack: Stack) -> None:
        """Say when all is ready, and start over at each change of the code."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announce(stack))
            if self._reloads:
                group.create_task(
                    reload.watch(loader.job_modules(self._plan.settings.jobs), lambda: self._start_over(stack))
                )
            await self._stop.wait()

    async def _announce(self, stack: Stack) -> None:
        with contextlib.suppress(Refused):
            await stack.ready()
            self._say(banner(self._plan, stack))
            while True:
                await self._changed.wait()
                self._changed.clear()
                await stack.ready()
                self._say("ready again")

    async def _hurries(self, stack: Stack) -> None:
        await self._hurry.wait()
        stack.hurry()
        await asyncio.Event().wait()

    def _start_over(self, stack: Stack) -> None:
        self._voices.forget_reasons()
        stack.start_over()
        self._changed.set()

    def _say(self, text: str) -> None:
        if not self._is_quiet:
            print(text, flush=True)


def banner(plan: Plan, stack: Stack) -> str:
    """Return what to say when everything is ready: where to go, and how to try it."""
    is_embedded = plan.settings.redis_url_or("embedded") == "embedded"
    rows = {
        "API": f"{stack.url}/v1   docs: {stack.url}/docs",
        "Redis": f"embedded, data in {plan.settings.data_dir}/" if is_embedded else "at OFFLOAD_REDIS_URL",
        "Workers": f"{plan.workers}, job modules: {', '.join(loader.job_modules(plan.settings.jobs))}",
        "Try": "offload enqueue demo.sleep seconds=2 --wait",
        "Stop": "Ctrl-C",
    }
    return "\n".join(["", "Offload is up.", *(f"  {name:<8} {said}" for name, said in rows.items()), ""])
