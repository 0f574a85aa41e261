"""The worker's side of a child process: its start, its one pipe, and how it ended."""

import asyncio
import atexit
import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from offload.domain.errors import ChildDied, Unavailable
from offload.worker.executors import child, messages
from offload.worker.executors.messages import JobWork, StepWork

_END_TIMEOUT = 5.0  # seconds for a process to end by itself, and again after SIGKILL
_JOB_ENDED = "the job that asks for this has ended"
_reaping = threading.Lock()  # the exit code of a process can be read once, and each start reads those of all others
_alive: set["ChildProcess"] = set()

Serve = Callable[[messages.Note | messages.Request], Any]
"""Takes a message of a running job, and returns the answer to a request; called in a thread, so that it may block."""


@dataclass(slots=True)
class CallEnd:
    """The value or the exception of a call, and its cost."""

    value: Any
    error: BaseException | None
    cpu_ns: int
    peak_rss: int


@dataclass(slots=True)
class _Call:
    number: int
    work: JobWork | StepWork
    serve: Serve | None
    end: asyncio.Future[CallEnd]


class ChildProcess:
    """One process, its pipe, and the thread that starts it, speaks with it and waits for its end."""

    def __init__(self, context: Any, artifacts: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.calls = 0
        self._loop = loop
        self._pipe, self._childs_pipe = context.Pipe()
        self._process = context.Process(target=child.main, args=(self._childs_pipe, artifacts), name="offload-child")
        self._waiting: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._current: _Call | None = None
        self._sending = threading.Lock()
        self._has_started = False
        self._ends: list[int] = []  # descriptors that are readable once the process has ended; none when that is known
        self._watching = threading.Lock()
        self._is_asked_to_stop = False  # such a child is never used again
        self._is_killed = False
        threading.Thread(target=self._live, name="offload-child", daemon=True).start()

    def call(self, work: JobWork | StepWork, serve: Serve | None) -> "asyncio.Future[CallEnd]":
        """Run some work as soon as the process has started; the future raises ChildDied if the process ends first."""
        self.calls += 1
        call = _Call(self.calls, work, serve, self._loop.create_future())
        self._waiting.put(call)
        return call.end

    @property
    def is_alive(self) -> bool:
        """True while the process runs, or is about to."""
        with self._watching:
            return not self._has_started or (bool(self._ends) and not wait(self._ends, 0))

    def ask_to_stop(self) -> None:
        """Let the job see `ctx.aborted`; a call that waits for its process to start is cancelled."""
        self._is_asked_to_stop = True
        threading.Thread(target=self._send_abort, daemon=True).start()  # a full pipe would hold the event loop

    def kill(self) -> None:
        """End the process now, or as soon as it has started."""
        self._is_killed = True
        self._kill_process()
        self.close()

    def close(self) -> None:
        """End the process as soon as it runs nothing."""
        self._waiting.put(None)

    def _kill_process(self) -> None:
        if self._has_started and self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    def _send(self, message: messages.ToChild) -> None:
        with self._sending:
            self._pipe.send(message)

    def _send_abort(self) -> None:
        with contextlib.suppress(OSError):
            self._send(messages.Abort())

    # What follows runs in the child's thread.

    def _live(self) -> None:
        fault, is_closed = "", False
        try:
            self._start()
            while (call := self._waiting.get()) is not None:
                self._run(call)
                del call
            is_closed = True
            self._send(messages.Stop())
        except Exception as error:  # noqa: BLE001 - raised where the call is awaited
            if not self._has_started:
                fault = f"its process could not be started: {error!r}"
            elif not isinstance(error, EOFError | OSError):  # which mean that it has ended
                fault = f"its process sent a message that failed: {error!r}"
                self._kill_process()
        reason = self._end()
        if not is_closed:
            last = self._current or self._waiting.get()
            while last is not None:  # one call at most; then comes the None of `close`
                self._settle(last, ChildDied(fault or reason))
                last = self._waiting.get()

    def _start(self) -> None:
        """Start the process, and the fork server before the first one, and wait until it is ready."""
        try:
            with _reaping:
                self._process.start()
        finally:
            self._childs_pipe.close()
        self._ends.append(self._process.sentinel)
        with contextlib.suppress(AttributeError, OSError):  # Linux; the sentinel is later, it waits for the fork server
            self._ends.append(os.pidfd_open(self._process.pid))
        self._has_started = True
        _alive.add(self)
        if self._is_killed:  # while it was starting
            self._kill_process()
        self._receive()

    def _run(self, call: _Call) -> None:
        try:
            message = messages.Call(call.number, messages.pickled(call.work))
        except Exception as error:  # noqa: BLE001 - arguments that cannot pass; the child is as good as before
            self._settle(call, error)
            return
        self._current = call
        with self._sending:
            is_sent = not self._is_asked_to_stop
            if is_sent:
                self._pipe.send(message)
        if is_sent:
            while not isinstance(received := self._receive(), messages.Ended):
                self._handle(call, received)
            self._settle(call, _end_of(received))
        else:
            self._settle(call, asyncio.CancelledError())
        self._current = None

    def _handle(self, call: _Call, message: messages.ToWorker) -> None:
        """Handle a note or a request; one with another number comes from a thread that an earlier job left behind."""
        match message:
            case messages.Note() if message.call == call.number and call.serve is not None:
                call.serve(message)
            case messages.Request():
                self._answer(call, message)

    def _answer(self, call: _Call, request: messages.Request) -> None:
        try:
            if request.call != call.number or call.serve is None:
                raise Unavailable(_JOB_ENDED)  # noqa: TRY301 - sent like every other error
            content, is_error = messages.pickled(call.serve(request)), False
        except Exception as error:  # noqa: BLE001 - raised again in the child
            content, is_error = messages.pickled_error(error.with_traceback(None)), True
        self._send(messages.Answer(request.number, content, is_error))

    def _receive(self) -> Any:
        """Return the next message; raises EOFError when the process has ended and no message is left."""
        if self._pipe not in wait([self._pipe, self._process.sentinel]):
            raise EOFError
        return self._pipe.recv()

    def _settle(self, call: _Call, end: CallEnd | BaseException) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has stopped
            self._loop.call_soon_threadsafe(_set, call.end, end)

    def _end(self) -> str:
        """Wait for the end of the process, kill it if that takes too long, and return its exit code in words."""
        if not self._has_started:
            self._pipe.close()
            return ""
        if not wait([self._process.sentinel], _END_TIMEOUT):
            self._kill_process()
            wait([self._process.sentinel], _END_TIMEOUT)
        with _reaping:
            self._process.join(0)
            code = self._process.exitcode
        with self._sending:
            self._pipe.close()
        with self._watching:
            for pidfd in self._ends[1:]:
                os.close(pidfd)
            self._ends.clear()
        _alive.discard(self)
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"


def _end_of(ended: messages.Ended) -> CallEnd:
    value, error = None, None
    try:
        value = messages.unpickled(ended.content, is_error=ended.is_error)
    except BaseException as raised:  # noqa: BLE001 - raised again where the call is awaited
        error = raised
    return CallEnd(value, error, ended.cpu_ns, ended.peak_rss)


def _set(future: "asyncio.Future[CallEnd]", end: CallEnd | BaseException) -> None:
    if future.done():
        return
    match end:
        case CallEnd():
            future.set_result(end)
        case asyncio.CancelledError():
            future.cancel()
        case _:
            future.set_exception(end)


def _kill_all() -> None:
    """Keep idle children from delaying the exit of the interpreter, which waits for each."""
    for process in list(_alive):
        process.kill()


atexit.register(_kill_all)  # after that of multiprocessing, so it is called before
