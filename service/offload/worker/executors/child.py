"""What runs inside a child process: one job function at a time, speaking to its worker through one pipe.

A thread reads the pipe. When the worker is gone the pipe ends, and the process with it: nothing outlives its worker.
"""

import importlib
import itertools
import os
import queue
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from offload.domain.artifacts import Artifact
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.functions import EnqueueOptions, JobFunction
from offload.domain.policy import Outcome, Raised
from offload.store.jobs.artifacts import ArtifactFiles, describe
from offload.worker.context import AttemptInfo, JobContext, JobHandle
from offload.worker.executors.metering import Meter, Metered
from offload.worker.outcome import raised, run_blocking

_ANSWER_TIMEOUT = 60.0
_NICENESS = 10  # a tenth of the share of a process at 0, by the weights of Linux


class ChildPort:
    """A context's port in a child process: notes go one way, requests wait for their answer."""

    def __init__(self, pipe: Connection, files: ArtifactFiles) -> None:
        self._pipe = pipe
        self._files = files
        self._aborted = threading.Event()
        self._numbers = itertools.count()
        self._answers: dict[int, queue.SimpleQueue[Any]] = {}
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, name="offload-pipe", daemon=True).start()

    def begin(self) -> None:
        """Forget the job before."""
        self._aborted.clear()

    def end(self) -> None:
        """Say that nothing more comes of this job: its notes are all sent."""
        self._send(("end",))

    def note(self, kind: str, said: dict[str, Any]) -> None:
        self._send(("note", kind, said))

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        return JobHandle(self._ask("enqueue", function, args, options))

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        artifact = describe(name, data, media_type)
        self._files.write_as(artifact, data)
        self._ask("register", artifact)
        return artifact

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        return self._ask("find", artifact_id), self._files.read(artifact_id)

    def is_aborted(self) -> bool:
        return self._aborted.is_set()

    def _send(self, message: tuple[Any, ...]) -> None:
        with self._sending:
            self._pipe.send(message)

    def _ask(self, what: str, *about: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = queue.SimpleQueue()
        self._send((what, number, *about))
        try:
            value, error = answer.get(timeout=_ANSWER_TIMEOUT)
        except queue.Empty:
            raise Unavailable(f"the worker did not answer {what!r} within {_ANSWER_TIMEOUT:g} s") from None
        finally:
            del self._answers[number]
        if error is not None:
            raise error
        return value

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            if message[0] == "abort":
                self._aborted.set()
            elif message[1] in self._answers:
                self._answers[message[1]].put(message[2:])


_port: ChildPort | None = None


def start(pipe: Connection, artifacts: Path) -> None:
    """Prepare a new child; Ctrl-C reaches the whole group of processes, and is the worker's to deal with.

    Event loops on the same machine, the API's, the worker's and Redis', go before what computes: they need little, at
    once. Where nothing else wants the processor, it is the child's as ever.
    """
    global _port  # noqa: PLW0603 - one pipe per process
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _port = ChildPort(pipe, ArtifactFiles(artifacts))


def hello() -> None:
    """Do nothing: the process is there when this has run."""


def run_job(module: str, qualname: str, facts: AttemptInfo, given: dict[str, Any], max_bytes: int) -> Metered:
    """Run a job function by its import path; the arguments are checked here, where they are used."""
    port = _the_port()
    port.begin()
    facts.begin(now_ms())
    meter = Meter()
    outcome: Outcome
    function = find(module, qualname)
    policy = function.retry_policy(facts.max_tries)
    try:
        arguments = function.arguments.validate(given)
        context = JobContext(facts, port)
        outcome = run_blocking(function, lambda: function.fn(context, **arguments), policy, max_bytes)
    except Exception as error:  # noqa: BLE001 - invalid arguments
        outcome = raised(error, policy)
    port.end()
    if isinstance(outcome, Raised):
        outcome = replace(outcome, exception=None)  # as data it always passes through the pipe, the object may not
    return meter.metered(outcome)


def run_step(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Metered:
    """Run one step of an async job."""
    meter = Meter()
    try:
        return meter.metered(f(*args, **kwargs))
    finally:
        _the_port().end()


def find(module: str, qualname: str) -> JobFunction[Any, Any]:
    """Import the job function that stands at a module's top."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    if not isinstance(found, JobFunction):
        msg = f"{module}.{qualname} is no job function here; a job that runs in a process must be importable"
        raise TypeError(msg)
    return found


def _the_port() -> ChildPort:
    if _port is None:
        msg = "this process was not started by a worker"
        raise RuntimeError(msg)
    return _port
