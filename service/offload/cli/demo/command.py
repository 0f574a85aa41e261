"""The command `offload demo`."""

import asyncio
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from offload.cli import errors, output, session
from offload.cli.commands.stalls import FailOnStall, check_watched
from offload.cli.demo import material, show
from offload.cli.demo.caller import Caller
from offload.cli.demo.probe import Latencies, Probe
from offload.cli.demo.scenario import Scenario
from offload.cli.demo.show import Show
from offload.cli.demo.stage import NotReady, Stage, Transcript, on_stage
from offload.cli.local.stack import Refused
from offload.domain.errors import Unavailable
from offload.domain.stalls import blaming, complaint
from offload.settings import Settings

LIMIT = 120.0
_LINES_SHOWN = 60

Keep = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Save the files made by the jobs, and the logs, in this directory.")
]


def demo(keep: Keep = None, fail_on_stall: FailOnStall = False, as_json: output.Json = False) -> None:
    """Start a fresh service, run every shipped job on real input over HTTP, and check each result."""
    if keep is not None:
        _make(keep)
    with tempfile.TemporaryDirectory(prefix="offload-demo-", ignore_cleanup_errors=True) as folder:
        settings = session.settings()
        check_watched(settings, fails=fail_on_stall)
        performance = _Performance(settings, Path(folder), Show(quiet=as_json), fail_on_stall=fail_on_stall)
        try:
            asyncio.run(performance.run())
        except Refused:  # The process has printed the reason.
            raise typer.Exit(errors.UNREACHABLE) from None
        except asyncio.CancelledError:  # SIGTERM; everything has been stopped.
            raise typer.Exit(errors.TERMINATED) from None
        if keep is not None:
            performance.keep(keep)
    if as_json:
        output.print_json(performance.describe())
    raise typer.Exit(errors.DONE if performance.is_right else errors.FAILED)


@dataclass
class _Performance:
    """One run of the demo."""

    settings: Settings
    folder: Path
    show: Show
    fail_on_stall: bool = False

    def __post_init__(self) -> None:
        self._transcript = Transcript()
        self._latencies = Latencies()
        self._scenario: Scenario | None = None
        self._took = 0.0
        self._problems: list[str] = []

    @property
    def is_right(self) -> bool:
        """True if every job ran and passed its checks, and nothing else went wrong."""
        return self._scenario is not None and not self._problems

    async def run(self) -> None:
        """Start the service, run the jobs, stop the service, and print the outcome."""
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        started = time.monotonic()
        self.show.say("starting Redis, the API, a worker and a mail server ...")
        photo = asyncio.create_task(asyncio.to_thread(material.picture), name="picture")
        try:
            async with asyncio.timeout(LIMIT):
                async with on_stage(self.settings, self.folder, self._transcript) as stage:
                    ready = time.monotonic() - started
                    self.show.say(f"ready in {ready:.1f} s: {stage.url}; running every shipped job at the same time:")
                    await self._play(stage, await photo)
        except NotReady as error:
            self._problems.append(str(error))
        except TimeoutError:
            self._problems.append(f"the demo did not finish within {LIMIT:g} s")
        finally:
            photo.cancel()
        self._took = time.monotonic() - started
        self._conclude()

    async def _play(self, stage: Stage, photo: bytes) -> None:
        # The picture has several megabytes, and many streams are open at once.
        async with httpx.AsyncClient(base_url=stage.url, timeout=60, trust_env=False) as http:
            caller = Caller(http, self.show.changed)
            scenario = self._scenario = Scenario(caller, stage.url, stage.inbox, photo, self.show.changed)
            with self.show.playing(scenario.runs), Probe(stage.url) as probe:
                self._latencies = probe.latencies
                await scenario.play()
            if self.fail_on_stall:
                blamed_stalls = blaming((await http.get("/v1/stalls", params={"limit": 200})).json()["items"])
                self._problems += [complaint(blamed_stalls, str(Path.cwd()))] if blamed_stalls else []

    def _conclude(self) -> None:
        runs = self._scenario.runs if self._scenario else []
        for run in runs:
            if not run.is_checked:
                run.problems.append(f"not finished: {run.status}")
            self._problems += [f"{run.function} ({run.title}): {problem}" for problem in run.problems]
        if self._latencies.failed:
            self._problems.append(f"/livez failed {self._latencies.failed} times")
        self.show.say(show.latencies(self._latencies))
        if self._problems:
            recent = list(self._transcript.lines)[-_LINES_SHOWN:]
            errors.write_stderr("\n".join(["", "Last lines of the service log:", *recent, "", "FAILED:"]))
            errors.write_stderr("\n".join(f"  {problem}" for problem in self._problems))
        else:
            self.show.say(f"all {len(runs)} jobs passed in {self._took:.1f} s")

    def keep(self, directory: Path) -> None:
        """Write the files made by the jobs, and the logs, to a directory."""
        files = self._scenario.files if self._scenario else {}
        logs = "\n".join(self._transcript.lines) + "\n"
        for name, content in {**files, "service.log": logs.encode()}.items():
            (directory / Path(name).name).write_bytes(content)
        self.show.say(f"files saved in {directory}: {', '.join(sorted(files))}")

    def describe(self) -> dict[str, Any]:
        """Return the document for `--json`."""
        return {
            "ok": self.is_right,
            "took": round(self._took, 3),
            "jobs": [run.describe() for run in (self._scenario.runs if self._scenario else ())],
            "livez": self._latencies.describe(),
            "problems": self._problems,
        }


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create {str(directory)!r}: {error.strerror}") from None
