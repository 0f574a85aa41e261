"""Prints the output of several processes on one terminal, each line after the coloured name of its process.

Output before the first log event is held for a moment, since it may be the reason why a process cannot start. If two
cannot start for the same reason, it is printed once and without names, so that a traceback can be copied.
"""

import asyncio
import re
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

COLOURS = ("36", "32", "35", "33", "34", "96", "92", "95")  # ANSI: cyan, green, magenta, yellow, blue, …
HELD_FOR = 3.0

_EVENT = re.compile(r"\[(debug|info|warning|error|critical)\s*\]|^\{")
_LEVELS = {"debug": "2", "warning": "33", "error": "1;31", "critical": "1;31"}


@dataclass
class _Held:
    lines: list[str] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class ProcessConsole:
    """Prints the lines of child processes. `plain` lines (JSON, for programs) are printed unchanged."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        colours: bool,
        plain: bool = False,
        write_refusal: Callable[[str], object],
    ) -> None:
        self._write = write
        self._write_refusal = write_refusal
        self._colours = colours
        self._plain = plain
        self._held: dict[str, _Held] = {}
        self._codes: dict[str, str] = {}
        self._width = 6
        self._reasons: deque[str] = deque(maxlen=1)

    def note_start(self, name: str) -> None:
        """Hold the first lines of a child, for a moment from the first one on."""
        self._codes.setdefault(name, COLOURS[len(self._codes) % len(COLOURS)])
        self._width = max(self._width, len(name))
        self._release(name)
        self._held[name] = _Held()

    def note_line(self, name: str, line: str) -> None:
        """Print one line, or hold it."""
        if (held := self._held.get(name)) is not None:
            held.lines.append(line)
            if _EVENT.search(line):
                self._release(name)
            elif held.timer is None:  # only now: on a busy machine it may take long until the child says anything
                held.timer = asyncio.get_running_loop().call_later(HELD_FOR, self._release, name)
        else:
            self._print(name, line)

    def note_refusal(self, name: str) -> None:
        """Print the held lines without names, unless another child had the same."""
        held = self._forget(name)
        reason = "\n".join(held.lines) if held else ""
        if reason and reason not in self._reasons:
            self._reasons.append(reason)
            self._write_refusal(reason)

    def forget_refusals(self) -> None:
        """Print reasons again after a change, also known ones."""
        self._reasons.clear()

    def _release(self, name: str) -> None:
        held = self._forget(name)
        for line in held.lines if held else ():
            self._print(name, line)

    def _forget(self, name: str) -> _Held | None:
        held = self._held.pop(name, None)
        if held is not None and held.timer is not None:
            held.timer.cancel()
        return held

    def _print(self, name: str, line: str) -> None:
        if self._plain:
            self._write(line)
        elif self._colours:
            self._write(f"\x1b[{self._codes.get(name, '0')}m{name:<{self._width}} │\x1b[0m {_coloured(line)}")
        else:
            self._write(f"{name:<{self._width}} | {line}")


def on_terminal(*, colours: bool, plain: bool) -> ProcessConsole:
    """Return a console that prints lines on stdout, and the reasons why something cannot start on stderr."""
    return ProcessConsole(
        _line_to_stdout, colours=colours, plain=plain, write_refusal=lambda text: print(text, file=sys.stderr)
    )


def _line_to_stdout(line: str) -> None:
    print(line, flush=True)


def _coloured(line: str) -> str:
    found = _EVENT.search(line)
    code = _LEVELS.get(found[1] or "") if found else None
    if found is None or code is None:
        return line
    return f"{line[: found.start()]}\x1b[{code}m{found[0]}\x1b[0m{line[found.end() :]}"
