"""The program of a child process: one call at a time, a job function or a step, through one pipe to its worker.

A thread reads the pipe. When the worker has gone the pipe ends, and so does the process.
"""

import contextlib
import importlib
import itertools
import os
import pickle
import queue
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from offload.domain.artifacts import Artifact
from offload.domain.clock import now_ms
from offload.domain.errors import MaybeEnqueued, Unavailable
from offload.domain.functions import EnqueueOptions, JobFunction
from offload.domain.policy import Outcome, Raised
from offload.store.jobs.artifacts import ArtifactFiles, describe
from offload.store.jobs.ids import new_id
from offload.worker.context import JobContext, JobHandle
from offload.worker.executors import messages
from offload.worker.executors.messages import JobWork, StepWork
from offload.worker.executors.metering import Meter
from offload.worker.outcome import raised, run_blocking

_ANSWER_TIMEOUT = 70.0  # the worker answers within 60
_NICENESS = 10  # a tenth of the share of a process at 0, by the weights of Linux


class Unanswered(Unavailable):
    """The worker has not answered a request in time."""


class Channel:
    """A child's end of the pipe: calls and answers come in, notes, requests and ends go out."""

    def __init__(self, pipe: Connection) -> None:
        self.is_aborted = False
        self._pipe = pipe
        self._calls: queue.SimpleQueue[messages.Call | None] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._answers: dict[int, queue.SimpleQueue[messages.Answer]] = {}
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, name="offload-pipe", daemon=True).start()

    def next_call(self) -> messages.Call | None:
        """Wait for the next call; None means that the process is to end."""
        return self._calls.get()

    def send(self, message: messages.ToWorker) -> None:
        """Send a message to the worker."""
        with self._sending:
            self._pipe.send(message)

    def request(self, call: int, content: messages.RequestContent) -> Any:
        """Ask the worker for something, and return its answer or raise its error.

        Raises Unanswered if the worker does not answer in time.
        """
        number = next(self._numbers)
        answers = self._answers[number] = queue.SimpleQueue()
        self.send(messages.Request(call, number, time.monotonic(), content))
        try:
            answer = answers.get(timeout=_ANSWER_TIMEOUT)
        except queue.Empty:
            msg = f"the worker did not answer {type(content).__name__} within {_ANSWER_TIMEOUT:g} s"
            raise Unanswered(msg) from None
        finally:
            del self._answers[number]
        return messages.unpickled(answer.content, is_error=answer.is_error)

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            match message:
                case messages.Call():
                    self.is_aborted = False
                    self._calls.put(message)
                case messages.Abort():
                    self.is_aborted = True
                case messages.Answer() if message.request in self._answers:
                    self._answers[message.request].put(message)
                case messages.Stop():
                    self._calls.put(None)


class ChildPort:
    """The port of one job's context in a child process."""

    def __init__(self, channel: Channel, call: int, files: ArtifactFiles) -> None:
        self._channel = channel
        self._call = call
        self._files = files

    def note(self, kind: str, content: dict[str, Any]) -> None:
        self._channel.send(messages.Note(self._call, kind, content))

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        job_id = options.job_id or new_id(now_ms())
        content = messages.EnqueueJob(function, args, replace(options, job_id=job_id))
        try:
            return JobHandle(self._channel.request(self._call, content))
        except Unanswered as error:
            raise MaybeEnqueued(job_id, str(error)) from None

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        artifact = describe(name, data, media_type)
        self._files.write_as(artifact, data)
        self._channel.request(self._call, messages.RegisterArtifact(artifact))
        return artifact

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        artifact = self._channel.request(self._call, messages.FindArtifact(artifact_id))
        return artifact, self._files.read(artifact_id)

    def is_aborted(self) -> bool:
        return self._channel.is_aborted


def main(pipe: Connection, artifacts: Path) -> None:
    """Run calls until the worker says that the process is to end.

    Ctrl-C reaches the whole group of processes; the worker deals with it. Event loops on the same machine (the API's,
    the worker's, Redis') go before computation: they need little, at once. Where nothing else wants the processor, the
    child has all of it.
    """
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel, files = Channel(pipe), ArtifactFiles(artifacts)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the worker has gone; so does this process
        channel.send(messages.Ready())
        while (call := channel.next_call()) is not None:
            _run(channel, files, call)
            del call


def _run(channel: Channel, files: ArtifactFiles, call: messages.Call) -> None:
    """Run one call and send its end; an end that cannot be pickled is the error that says so."""
    meter = Meter()
    try:
        work: JobWork | StepWork = pickle.loads(call.work)  # noqa: S301 - from our own worker
        if isinstance(work, JobWork):
            value: Any = _run_job(work, ChildPort(channel, call.number, files))
        else:
            value = work.function(*work.args, **work.kwargs)
        content, is_error = messages.pickled(value), False
    except BaseException as error:  # noqa: BLE001 - raised again where the call is awaited
        content, is_error = messages.pickled_error(error), True
    cpu_ns, peak_rss = meter.cost()
    channel.send(messages.Ended(call.number, content, is_error, cpu_ns, peak_rss))


def _run_job(work: JobWork, port: ChildPort) -> Outcome:
    """Run a job function; its arguments are checked here, where they are used."""
    attempt_info = work.attempt_info
    attempt_info.begin(now_ms())
    function = find(work.module, work.qualname)
    policy = function.retry_policy(attempt_info.max_tries)
    outcome: Outcome
    try:
        arguments = function.arguments.validate(work.arguments)
        context = JobContext(attempt_info, port)
        outcome = run_blocking(function, lambda: function.fn(context, **arguments), policy, work.max_result_bytes)
    except Exception as error:  # noqa: BLE001 - invalid arguments
        outcome = raised(error, policy)
    if isinstance(outcome, Raised):
        outcome = replace(outcome, exception=None)  # as data it always passes through the pipe, the object may not
    return outcome


def find(module: str, qualname: str) -> JobFunction[Any, Any]:
    """Import the job function of that name at the top of a module; raises TypeError if it is not one."""
    value: Any = importlib.import_module(module)
    for part in qualname.split("."):
        value = getattr(value, part)
    if not isinstance(value, JobFunction):
        msg = f"{module}.{qualname} is not a job function here; a job that runs in a process must be importable"
        raise TypeError(msg)
    return value
