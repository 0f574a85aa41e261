"""Runs the command line in this process, on a real Redis."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from offload import cli, settings
from offload.store.embedded.server import EmbeddedRedis


@dataclass(frozen=True)
class CommandResult:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return orjson.loads(self.out)


@pytest.fixture
def offload(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run `offload` with these words, in an empty directory and without settings, and return its output."""
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # `jobs`, for the workers too
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> CommandResult:
        with pytest.raises(SystemExit) as ended:
            cli.run_command(words)
        captured = capsys.readouterr()
        return CommandResult(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def on_redis(redis: object, redis_server: EmbeddedRedis, offload, monkeypatch: pytest.MonkeyPatch):
    """As `offload`, with OFFLOAD_REDIS_URL set to an empty Redis."""
    monkeypatch.setenv("OFFLOAD_REDIS_URL", redis_server.url)
    return offload


@pytest.fixture
def work(on_redis):
    """Run a worker, as a process of its own, until the queues are empty."""

    def run() -> None:
        command = [sys.executable, "-P", "-m", "offload", "worker", "--burst"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
        assert done.returncode == 0, done.stderr

    return run
