"""Hints for stalls: one sentence for each cause, from the call that was running.

`blockers` knows libraries; for a call that is not listed there, the way in which the loop was held decides.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from offload.loopwatch.advice import blockers
from offload.loopwatch.advice.blockers import Blocker
from offload.loopwatch.advice.names import Meanings, parse

Waiting = Literal["sleeping", "computing", "gil-held"]
"""How the loop was held: asleep in a system call, computing (the GIL is free at times), or in C with the GIL."""

_LARGEST_SOURCE = 500_000  # it is read with the GIL held, on the thread that reports

OF_KIND = {
    "saturated": "many short steps in a row, none of them slow by itself: run more processes, or fewer jobs in each",
    "gc": "Python collected garbage: keep fewer objects, or call `gc.freeze()` once long-lived objects are created",
    "starved": "the process got no CPU time: the machine is overloaded, or the process was stopped",
    "gil-other-thread": "another thread held the GIL: move its computation into a process",
    "startup": "the process was starting: import modules before the loop runs",
}

_PROCESSES = 'run it with `await ctx.to_process(…)`, or make the job a `def` with `runs_in="process"`'
_API_PROCESSES = 'make it a job with `runs_in="process"`'


def held(call: str, place: str, held_s: float, instead: str, *, name: str | None = None) -> str:
    """Return the hint of a stall: `call` is the source of the call if known, `name` the job function or route."""
    where = f"{name} ({place})" if name else place
    return f"{f'`{call}`' if call else 'a step'} in {where} held the loop {held_s:.2f} s: {instead}"


def remedy(
    call: str, modules: Sequence[str], waiting: Waiting, *, source: str = "", line: int = 0, is_job: bool = True
) -> str:
    """Return the advice for a call.

    `call` is its source (`requests.get(url)`), `line` its line in `source`, the text of its file. `modules` are those
    of the frames inside the call, its own first: none for a call into C. Where neither the source nor a frame belongs
    to a known library, the advice is general.
    """
    named = meaning(call, source, line)
    if waiting == "sleeping":
        is_async = any(blockers.is_async(name) for name in (named, *modules))  # an asynchronous library is used already
        found = None if is_async else _first([named, *modules])
        if found is None:
            return f"it waits for an external resource: use an asynchronous client, or {_thread(is_job=is_job)}"
        return _wait(found, is_job=is_job)
    found = _first([*reversed(modules), named], does="computes")
    if waiting == "gil-held" or (found is not None and found.gil == "held"):
        return f"it computes while it holds the GIL, so a thread would not help: {_process(is_job=is_job)}"
    if found is not None:
        return f"it gives up the GIL while it computes, so a thread is enough: {_thread(is_job=is_job)}"
    return f"it computes: {_process(is_job=is_job)}"


def instead_of(found: Blocker) -> str:
    """Return the advice for a known blocking call in a job."""
    if found.gil == "held":
        return _PROCESSES
    return _wait(found, is_job=True)


def meaning(call: str, source: str, line: int) -> str:
    """Return the dotted name of a call by the imports and variables of its file; empty if they do not bind it."""
    if not source or len(source) > _LARGEST_SOURCE:
        return call.partition("(")[0].strip()
    return _meanings(source, line).of_source(call) or ""


@lru_cache(maxsize=64)
def _meanings(source: str, line: int) -> Meanings:
    return Meanings(parse(source), line)


def _first(names: Sequence[str], does: Literal["waits", "computes"] = "waits") -> Blocker | None:
    found = (blockers.find(name) for name in names)
    return next((one for one in found if one is not None and (one.gil or does == "waits")), None)


def _wait(found: Blocker, *, is_job: bool) -> str:
    instead = found.instead
    if instead and not is_job:
        instead = "" if instead.startswith("`await ctx.") else instead.partition(", or ctx.")[0]
    return f"use {instead}; or {_thread(is_job=is_job)}" if instead else f"use {_thread(is_job=is_job)}"


def _thread(*, is_job: bool) -> str:
    if not is_job:
        return "`await asyncio.to_thread(…)`"
    return "`await ctx.to_thread(…)`, or make the job a plain `def`, which runs in a thread"


def _process(*, is_job: bool) -> str:
    return _PROCESSES if is_job else _API_PROCESSES
