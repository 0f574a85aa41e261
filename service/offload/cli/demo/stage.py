"""The environment of the demo: a fresh directory, a mail server, and the service as separate processes."""

import asyncio
import importlib.util
import shlex
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from offload.cli import errors, listening
from offload.cli.demo.inbox import Inbox, open_inbox
from offload.cli.local.stack import Plan, Stack, embedded_redis, running
from offload.domain.errors import OffloadError, Unavailable
from offload.settings import Settings

START_LIMIT = 40.0
_MIB = 1_048_576
_LINES_KEPT = 2000


class NotReady(OffloadError):
    """The service did not start in time; its log says more."""


class Transcript:
    """The output of the processes, which is printed only if something goes wrong."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._since_start: dict[str, list[str]] = {}

    def note_start(self, name: str) -> None:
        """Note that a process is about to start."""
        self._since_start[name] = []

    def note_line(self, name: str, line: str) -> None:
        """Keep one line."""
        self.lines.append(f"{name:<6} | {line}")
        self._since_start[name].append(line)
        del self._since_start[name][:-200]

    def note_refusal(self, name: str) -> None:
        """Print the reason why a process cannot start."""
        errors.write_stderr("\n".join(self._since_start[name]))


@dataclass(frozen=True)
class Stage:
    """A running service, and the mail that its jobs send."""

    url: str
    inbox: Inbox


@asynccontextmanager
async def on_stage(settings: Settings, folder: Path, transcript: Transcript) -> AsyncIterator[Stage]:
    """Run everything in `folder` during the block, which starts once it is ready."""
    demo_settings = settings.model_copy(update={"data_dir": folder / "data", "host": "127.0.0.1", "port": 0})
    demo_settings = demo_settings.model_copy(update={"shutdown_grace": 5.0, "abort_grace": 1.0})
    address = settings.redis_url_or("embedded")
    redis = nullcontext() if address != "embedded" else embedded_redis(demo_settings)
    with closing(listening.listen(demo_settings)) as listener:
        async with open_inbox() as inbox, redis as server:
            plan = Plan(demo_settings, changes=_changes(demo_settings, inbox), cwd=folder)
            async with running(plan, listener, server.url if server else address, transcript) as stack:
                await _ready(stack)
                yield Stage(stack.url, inbox)


async def _ready(stack: Stack) -> None:
    try:
        async with asyncio.timeout(START_LIMIT):
            await stack.ready()
    except TimeoutError:
        raise NotReady(f"API and worker were not ready within {START_LIMIT:g} s") from None


def _changes(settings: Settings, inbox: Inbox) -> dict[str, object]:
    """Return every setting of the children: defaults except for what the demo needs; the environment is ignored."""
    defaults: dict[str, object] = dict.fromkeys(Settings.model_fields)
    return defaults | {
        "data_dir": settings.data_dir,
        "jobs": ["offload.jobs", "offload.cli.demo.jobs"],
        "shutdown_grace": settings.shutdown_grace,
        "smtp_url": inbox.url,
        "llm_command": settings.llm_command or _standin(),
        "allow_private_addresses": 1,  # The demo fetches a page of the service itself.
        "max_body_bytes": 16 * _MIB,  # The picture is in the body.
        "log_format": "console",
    }


def _standin() -> str:
    """Return the command of the small program that stands in for a language model."""
    spec = importlib.util.find_spec("offload.jobs")  # Found, not imported: only the worker runs job modules.
    if spec is None or spec.origin is None:
        raise Unavailable("the shipped job functions are not installed")
    return shlex.join([sys.executable, str(Path(spec.origin).with_name("fake_llm.py"))])
