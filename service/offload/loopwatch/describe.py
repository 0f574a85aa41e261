"""Turns a measured stall into the record that people read: the line, the call, and a hint.

Source files are read here, on the reporter's thread, and never while a stack is sampled.
"""

import dis
import linecache
import threading
from collections import Counter
from pathlib import PurePath
from types import CodeType
from typing import Any

from offload.domain.stalls import BLAMING, fingerprint
from offload.loopwatch.advice import hints
from offload.loopwatch.samples import Place, Sample
from offload.loopwatch.suspects import Suspect
from offload.loopwatch.user_code import FOREIGN
from offload.loopwatch.verdicts import Stall

_MAX_FRAMES = 20
_MAX_SOURCE = 200
_CALLS = ("CALL", "PRECALL", "IMPORT")
_WAITS = ("threading.py", "queue.py", "selectors.py", "socket.py", "ssl.py", "subprocess.py")


def position(code: CodeType, lasti: int) -> tuple[int, int, int, int]:
    """Return first line, last line, first and last column of the instruction; 0 if the compiler kept none."""
    positions = list(code.co_positions())
    index = lasti // 2
    first, last, left, right = positions[index] if 0 <= index < len(positions) else (None, None, None, None)
    return first or code.co_firstlineno, last or 0, left or 0, right or 0


def source_of(place: Place) -> str:
    """Return the source of the call that is under way, `requests.get(url)`; the whole line where that is unknown."""
    code, lasti = place
    first, last, left, right = position(code, lasti)
    line = linecache.getline(code.co_filename, first)
    if first == last and right > left:
        return line.encode()[left:right].decode(errors="replace")[:_MAX_SOURCE]
    return line.strip()[:_MAX_SOURCE]


def is_foreign(code: CodeType) -> bool:
    """Return True for code of Python, of an installed package, or of Offload."""
    return code.co_filename.startswith((*FOREIGN, "<"))


def user_place(sample: Sample) -> Place | None:
    """Return the innermost place of the user's own code; the innermost place of all if the stack has no user code."""
    if not sample.stack:
        return None
    return next((place for place in sample.stack if not is_foreign(place[0])), sample.stack[0])


def blamed_place(samples: list[Sample]) -> tuple[Place | None, Sample | None]:
    """Return the place that most samples agree on, and the first sample of it."""
    places = [(place, sample) for sample in samples if (place := user_place(sample)) is not None]
    if not places:
        return None, None
    lines = Counter((place[0], position(*place)[0]) for place, _ in places)
    (code, line), _ = lines.most_common(1)[0]
    return next((at, sample) for at, sample in places if at[0] is code and position(*at)[0] == line)


def record(stall: Stall, process: str, worker: str | None) -> dict[str, Any]:
    """Describe a stall; whoever stores it adds `at`."""
    scope = stall.scope
    place, sample = blamed_place(stall.samples)
    innermost = sample.stack[0] if sample is not None else None
    file = place[0].co_filename if place else (scope.path or None) if scope else None
    line = position(*place)[0] if place else (scope.line or None) if scope else None
    name = scope.label() if scope else None
    return {
        "kind": stall.kind,
        "process": process,
        "worker": worker,
        "job_id": scope.id if scope and scope.kind == "job" else None,
        "function": name if scope and scope.kind == "job" else None,
        "route": name if scope and scope.kind == "route" else None,
        "file": file,
        "line": line,
        "line_exact": innermost is not None and _is_exact(stall, innermost),
        "code": linecache.getline(file, line).strip()[:_MAX_SOURCE] if file and line else None,
        "call": source_of(place) if place else None,
        "callee": f"{innermost[0].co_qualname} ({PurePath(innermost[0].co_filename).name})" if innermost else None,
        "held_ms": round(stall.held_ns / 1e6),
        "cpu_ms": _ms(min(stall.evidence.cpu_ns, stall.held_ns)),
        "gc_ms": _ms(stall.evidence.gc_ns),
        "waited_ms": _ms(min(stall.evidence.waited_ns, stall.held_ns)),
        "suspects": _suspects(stall.suspects),
        "samples": len(stall.samples),
        "stack": _stack(sample),
        "hint": _hint(stall, place, sample),
        "fingerprint": fingerprint(stall.kind, name, file, place[0].co_qualname if place else ""),
    }


def _ms(ns: int) -> float:
    return round(ns / 1e6, 1)


def _is_exact(stall: Stall, innermost: Place) -> bool:
    """Return True if the sample is of the line itself: a C call that holds the GIL is sampled as it returns.

    After an operator the loop's thread gives up the GIL only at the next call or jump.
    """
    if _waiting(stall) != "gil-held":
        return True
    code, lasti = innermost
    return dis.opname[code.co_code[lasti]].startswith(_CALLS)


def _suspects(suspects: list[Suspect]) -> list[dict[str, Any]]:
    """Describe the threads that may have held the GIL; one without a job only if it was in the user's code."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    described = []
    for suspect in suspects:
        place = next((at for at in suspect.stack if not is_foreign(at[0])), None)
        if suspect.job_id is None and (place is None or PurePath(suspect.stack[0][0].co_filename).name in _WAITS):
            continue
        described.append(
            {
                "thread": suspect.name or names.get(suspect.thread, str(suspect.thread)),
                "job_id": suspect.job_id,
                "function": suspect.function,
                "file": place[0].co_filename if place else None,
                "line": position(*place)[0] if place else None,
                "call": source_of(place) if place else None,
            }
        )
    return described


def _suspected(suspects: list[Suspect]) -> str:
    names = list(dict.fromkeys(suspect.function for suspect in suspects if suspect.function))
    return f" (suspected: {', '.join(names)})" if names else ""


def _hint(stall: Stall, place: Place | None, sample: Sample | None) -> str:
    if stall.kind not in BLAMING:
        return hints.OF_KIND[stall.kind] + _suspected(stall.suspects)
    scope, call, modules, source = stall.scope, "", [], ""
    file, line = (scope.path, scope.line) if scope else ("", 0)
    if place is not None and sample is not None:
        file, line, call = place[0].co_filename, position(*place)[0], source_of(place)
        callees = reversed(sample.stack[: sample.stack.index(place)])
        modules = [name for frame in callees if (name := _module(frame[0].co_filename))]
        source = "".join(linecache.getlines(file))
    is_job = scope is None or scope.kind == "job"
    instead = hints.remedy(call, modules, _waiting(stall), source=source, line=line, is_job=is_job)
    at = f"{'/'.join(PurePath(file).parts[-2:])}:{line}" if file else "code that was not sampled"
    return hints.held(call, at, stall.held_ns / 1e9, instead, name=scope.label() if scope else None)


def _module(file: str) -> str:
    """Return the module of a file of Python or of a package: `requests.sessions`, `smtplib`."""
    for root in sorted(FOREIGN, key=len, reverse=True):
        if file.startswith(root + "/"):
            return file[len(root) + 1 :].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return ""


def _waiting(stall: Stall) -> hints.Waiting:
    """Return how the loop was held; in C with the GIL where the watchdog was late too."""
    evidence = stall.evidence
    if evidence.watchdog_late_ns > evidence.held_ns // 2:
        return "gil-held"
    return "computing" if evidence.cpu_ns + evidence.waited_ns > evidence.gap_ns // 2 else "sleeping"


def _stack(sample: Sample | None) -> str:
    if sample is None:
        return ""
    lines = []
    for place in sample.stack[:_MAX_FRAMES]:
        code = place[0]
        lines.append(f'  File "{code.co_filename}", line {position(*place)[0]} in {code.co_qualname}')
    return "\n".join(lines)
