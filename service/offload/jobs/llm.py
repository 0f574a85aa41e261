"""A language model behind a command line: any program that reads a prompt on stdin and writes its answer to stdout.

The queue's `max_running` is the number of answers that the model (or its licence, or its GPU) gives at once.
"""

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections import deque
from typing import IO, Annotated

from pydantic import BaseModel, Field

from offload import Backoff, GiveUp, JobContext, Queue, job
from offload.domain.clock import now_ms, to_ms
from offload.settings import SECRETS, child_environment

LLM = Queue("llm", max_running=2)

POLL = 0.1
TERM_GRACE = 2.0
READ_BYTES = 64 * 1024
MOST_TEXT_BYTES = 512 * 1024
MOST_LINES_TOLD = 1000
LONGEST_LINE = 200
STDERR_LINES = 20
LONGEST_STDERR_LINE = 500


class Completion(BaseModel):
    """The output of the command; `truncated` if it was longer than the limit."""

    text: str
    exit_code: int
    lines: int
    seconds: float
    truncated: bool = False


class CommandFailed(Exception):
    """The command ended with an error; it is retried, since models fail for temporary reasons (load, network)."""


@job(runs_in="thread", queue="llm", timeout=180, max_tries=3, keep_result=86400, backoff=Backoff(base=2.0))
def complete(
    ctx: JobContext,
    prompt: Annotated[str, Field(min_length=1, max_length=1_000_000)],
    system: Annotated[str, Field(max_length=1_000_000)] | None = None,
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 1024,
) -> Completion:
    """Answer a prompt with the command of OFFLOAD_LLM_COMMAND; each line it prints is reported as progress.

    The prompt comes to the command on stdin, as text. `{system}` and `{max_tokens}` in the command are replaced, as
    in `llm --system {system}`; without `{system}`, the system prompt is put before the prompt, with an empty line
    between. No shell is involved. Aborting the job ends the command and all that it started.
    """
    command = _command(ctx.settings.llm_command, system, max_tokens)
    stdin = prompt if system is None or command.takes_system else f"{system}\n\n{prompt}"
    started = time.monotonic()
    process = _start(command.words)
    try:
        conversation = _Conversation(ctx, process, stdin.encode())
        conversation.run()
        exit_code = process.wait(timeout=TERM_GRACE)
    except subprocess.TimeoutExpired as error:
        msg = f"{command.words[0]!r} closed its output but did not exit"
        raise CommandFailed(msg) from error
    finally:
        _end(process)
    if exit_code != 0:
        raise CommandFailed(_complaint(command.words[0], exit_code, conversation.last_stderr()))
    return Completion(
        text=conversation.text.decode("utf-8", "replace").rstrip("\n"),
        exit_code=exit_code,
        lines=conversation.lines,
        seconds=round(time.monotonic() - started, 3),
        truncated=conversation.truncated,
    )


class Command(BaseModel):
    """The command, split into words and filled in."""

    words: list[str]
    takes_system: bool


def _command(setting: str | None, system: str | None, max_tokens: int) -> Command:
    if not setting or not setting.strip():
        msg = "no model is configured: set OFFLOAD_LLM_COMMAND to a command such as 'ollama run llama3'"
        raise GiveUp(msg)
    try:
        words = shlex.split(setting)
    except ValueError as error:
        msg = f"OFFLOAD_LLM_COMMAND is not a command line: {error}"
        raise GiveUp(msg) from None
    filled = [word.replace("{max_tokens}", str(max_tokens)).replace("{system}", system or "") for word in words]
    return Command(words=filled, takes_system=any("{system}" in word for word in words))


def _start(words: list[str]) -> "subprocess.Popen[bytes]":
    """Start the command as the leader of a new process group, so that it can be stopped with all its children.

    It is somebody else's program, and may do what a prompt says: the secrets of the service are not in its environment.
    """
    pipe, environment = subprocess.PIPE, child_environment(dict.fromkeys(SECRETS))
    try:
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"the command of OFFLOAD_LLM_COMMAND cannot be run: {words[0]!r}: {reason}"
        raise GiveUp(msg) from error


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the whole process group, including leftovers of a finished command: SIGTERM, then SIGKILL."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=TERM_GRACE)
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        _close(stream)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the command was started without its pipes")
    return stream


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _close(stream: IO[bytes] | None) -> None:
    with contextlib.suppress(BrokenPipeError):
        if stream is not None:
            stream.close()


def _complaint(name: str, exit_code: int, stderr: str) -> str:
    how = f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
    return f"{name!r} exited with {how}: {stderr or 'nothing on stderr'}"


class _Conversation:
    """Writes the prompt and reads stdout and stderr at once, so that no full pipe can block the command."""

    def __init__(self, ctx: JobContext, process: "subprocess.Popen[bytes]", prompt: bytes) -> None:
        self.text = bytearray()
        self.lines = 0
        self.truncated = False
        self._ctx = ctx
        self._process = process
        self._unsent = memoryview(prompt)
        self._line = bytearray()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._stderr_rest = bytearray()

    def run(self) -> None:
        """Continue until the command closes its outputs or exits; raise if the job is aborted or times out."""
        process = self._process
        stdin, stdout, stderr = _pipe(process.stdin), _pipe(process.stdout), _pipe(process.stderr)
        os.set_blocking(stdin.fileno(), False)
        outputs = {stdout, stderr}
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE, self._write)
            selector.register(stdout, selectors.EVENT_READ, self._read_stdout)
            selector.register(stderr, selectors.EVENT_READ, self._read_stderr)
            while outputs:
                self._check_time()
                ready = selector.select(POLL)
                for key, _ in ready:
                    stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
                    if not key.data(stream):
                        selector.unregister(stream)
                        _close(stream)
                        outputs.discard(stream)
                if not ready and self._process.poll() is not None:
                    break
        self._tell_line()

    def last_stderr(self) -> str:
        """Return the last lines of stderr."""
        rest = self._stderr_rest.decode("utf-8", "replace").strip()
        return "\n".join([*self._stderr, *([rest] if rest else [])][-STDERR_LINES:])

    def _check_time(self) -> None:
        if self._ctx.deadline is not None and now_ms() >= to_ms(self._ctx.deadline):
            msg = "the model did not finish in time"
            raise TimeoutError(msg)
        self._ctx.raise_if_aborted()

    def _write(self, stdin: IO[bytes]) -> bool:
        try:
            self._unsent = self._unsent[os.write(stdin.fileno(), self._unsent[:READ_BYTES]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._unsent = self._unsent[:0]
        return bool(self._unsent)

    def _read_stdout(self, stdout: IO[bytes]) -> bool:
        chunk = os.read(stdout.fileno(), READ_BYTES)
        room = MOST_TEXT_BYTES - len(self.text)
        self.text += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room
        *whole, rest = (bytes(self._line) + chunk).split(b"\n")
        for line in whole:
            self._line = bytearray(line)
            self._tell_line(even_empty=True)
        self._line = bytearray(rest[: LONGEST_LINE * 4])
        return bool(chunk)

    def _tell_line(self, *, even_empty: bool = False) -> None:
        if self._line or even_empty:
            self.lines += 1
            if self.lines <= MOST_LINES_TOLD:
                self._ctx.progress(None, self._line.decode("utf-8", "replace")[:LONGEST_LINE])
        self._line = bytearray()

    def _read_stderr(self, stderr: IO[bytes]) -> bool:
        chunk = os.read(stderr.fileno(), READ_BYTES)
        *whole, rest = (bytes(self._stderr_rest) + chunk).split(b"\n")
        self._stderr.extend(line.decode("utf-8", "replace")[:LONGEST_STDERR_LINE] for line in whole)
        self._stderr_rest = bytearray(rest[:LONGEST_STDERR_LINE])
        return bool(chunk)
