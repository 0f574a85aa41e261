"""From a stall, as the watchdog found it, to a record that people read: the line, the call, what to do instead.

Source files are read here, on the reporter's thread, and never while a stack is sampled.
"""

import dis
import hashlib
import linecache
import threading
from collections import Counter
from pathlib import PurePath
from types import CodeType
from typing import Any

from offload.loopwatch.advice import hints
from offload.loopwatch.samples import Place, Sample
from offload.loopwatch.stall import Stall
from offload.loopwatch.suspects import Suspect
from offload.loopwatch.user_code import FOREIGN

_DEPTH = 20
_CODE = 200
_CALLS = ("CALL", "PRECALL", "IMPORT")
_WAITS = ("threading.py", "queue.py", "selectors.py", "socket.py", "ssl.py", "subprocess.py")


def position(code: CodeType, lasti: int) -> tuple[int, int, int, int]:
    """Return first line, last line, first and last column of the instruction; 0 where the compiler kept none."""
    found = list(code.co_positions())
    index = lasti // 2
    first, last, left, right = found[index] if 0 <= index < len(found) else (None, None, None, None)
    return first or code.co_firstlineno, last or 0, left or 0, right or 0


def source_of(place: Place) -> str:
    """Return the source of the call that is under way, `requests.get(url)`; the whole line where that is unknown."""
    code, lasti = place
    first, last, left, right = position(code, lasti)
    line = linecache.getline(code.co_filename, first)
    if first == last and right > left:
        return line.encode()[left:right].decode(errors="replace")[:_CODE]
    return line.strip()[:_CODE]


def is_foreign(code: CodeType) -> bool:
    """Whether code belongs to Python, to an installed package, or to Offload."""
    return code.co_filename.startswith((*FOREIGN, "<"))


def blamed(sample: Sample) -> Place | None:
    """Return the innermost place of the user's own code; the innermost of all where there is none."""
    if not sample.stack:
        return None
    return next((place for place in sample.stack if not is_foreign(place[0])), sample.stack[0])


def culprit(samples: list[Sample]) -> tuple[Place | None, Sample | None]:
    """Return the place that most samples agree on, and one that saw it."""
    seen = [(place, one) for one in samples if (place := blamed(one)) is not None]
    if not seen:
        return None, None
    lines = Counter((place[0], position(*place)[0]) for place, _ in seen)
    (code, line), _ = lines.most_common(1)[0]
    return next((place, one) for place, one in seen if place[0] is code and position(*place)[0] == line)


def record(stall: Stall, process: str, worker: str | None) -> dict[str, Any]:
    """Describe a stall; `at` is left to whoever stores it."""
    scope = stall.scope
    place, sample = culprit(stall.samples)
    innermost = sample.stack[0] if sample is not None else None
    file = place[0].co_filename if place else (scope.path or None) if scope else None
    line = position(*place)[0] if place else (scope.line or None) if scope else None
    name = scope.label() if scope else None
    about = f"{stall.kind}|{name}|{file}|{place[0].co_qualname if place else ''}"
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
        "code": linecache.getline(file, line).strip()[:_CODE] if file and line else None,
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
        "fingerprint": hashlib.sha256(about.encode()).hexdigest()[:12],
    }


def _ms(ns: int) -> float:
    return round(ns / 1e6, 1)


def _is_exact(stall: Stall, innermost: Place) -> bool:
    """Whether the sample is of the very line: C code that holds the GIL is seen as it returns, if it was called.

    After an operator the loop's thread gives the GIL up only at the next call or jump.
    """
    if _waiting(stall) != "gil-held":
        return True
    code, lasti = innermost
    return dis.opname[code.co_code[lasti]].startswith(_CALLS)


def _suspects(found: list[Suspect]) -> list[dict[str, Any]]:
    """Describe who may have held the GIL; threads that are nobody's and were not in the user's code are left out."""
    names = {one.ident: one.name for one in threading.enumerate()}
    told = []
    for one in found:
        place = next((at for at in one.stack if not is_foreign(at[0])), None)
        if one.job_id is None and (place is None or PurePath(one.stack[0][0].co_filename).name in _WAITS):
            continue
        told.append(
            {
                "thread": one.name or names.get(one.thread, str(one.thread)),
                "job_id": one.job_id,
                "function": one.function,
                "file": place[0].co_filename if place else None,
                "line": position(*place)[0] if place else None,
                "call": source_of(place) if place else None,
            }
        )
    return told


def _suspected(found: list[Suspect]) -> str:
    names = list(dict.fromkeys(one.function for one in found if one.function))
    return f" (suspected: {', '.join(names)})" if names else ""


def _hint(stall: Stall, place: Place | None, sample: Sample | None) -> str:
    if stall.kind not in ("step", "callback"):
        return hints.OF_KIND[stall.kind] + _suspected(stall.suspects)
    scope, call, modules, source = stall.scope, "", [], ""
    file, line = (scope.path, scope.line) if scope else ("", 0)
    if place is not None and sample is not None:
        file, line, call = place[0].co_filename, position(*place)[0], source_of(place)
        led_to = reversed(sample.stack[: sample.stack.index(place)])
        modules = [name for frame in led_to if (name := _module(frame[0].co_filename))]
        source = "".join(linecache.getlines(file))
    is_job = scope is None or scope.kind == "job"
    instead = hints.remedy(call, modules, _waiting(stall), source=source, line=line, is_job=is_job)
    at = f"{'/'.join(PurePath(file).parts[-2:])}:{line}" if file else "code that was not seen"
    return hints.held(call, at, stall.held_ns / 1e9, instead, name=scope.label() if scope else None)


def _module(file: str) -> str:
    """Return the module of a file of Python or of a package: `requests.sessions`, `smtplib`."""
    for root in sorted(FOREIGN, key=len, reverse=True):
        if file.startswith(root + "/"):
            return file[len(root) + 1 :].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return ""


def _waiting(stall: Stall) -> hints.Waiting:
    """Say how the loop was held: its thread computed, or slept; in C with the GIL where the watchdog was held too."""
    seen = stall.evidence
    if seen.watchdog_late_ns > seen.held_ns // 2:
        return "gil-held"
    return "computing" if seen.cpu_ns + seen.waited_ns > seen.gap_ns // 2 else "sleeping"


def _stack(sample: Sample | None) -> str:
    if sample is None:
        return ""
    lines = []
    for place in sample.stack[:_DEPTH]:
        code = place[0]
        lines.append(f'  File "{code.co_filename}", line {position(*place)[0]} in {code.co_qualname}')
    return "\n".join(lines)
