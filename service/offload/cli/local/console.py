"""What the children of `offload up` say, on one terminal: each line with the name of who says it, in a colour.

What a child says before its first log event is held for a moment: it may be the reason why it cannot start. Two that
cannot start for one reason then say it once, and as it is, so that a traceback can be copied.
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
    """Prints what children say. `plain` lines (JSON) are passed on as they are, for a program reads them."""

    def __init__(
        self, write: Callable[[str], object], *, colours: bool, plain: bool = False, refuse: Callable[[str], object]
    ) -> None:
        self._write = write
        self._refuse = refuse
        self._colours = colours
        self._plain = plain
        self._held: dict[str, _Held] = {}
        self._codes: dict[str, str] = {}
        self._width = 6
        self._reasons: deque[str] = deque(maxlen=1)

    def starts(self, name: str) -> None:
        """Hold the child's first lines, for a moment from the first on."""
        self._codes.setdefault(name, COLOURS[len(self._codes) % len(COLOURS)])
        self._width = max(self._width, len(name))
        self._release(name)
        self._held[name] = _Held()

    def tell(self, name: str, line: str) -> None:
        """Print one line, or hold it."""
        if (held := self._held.get(name)) is not None:
            held.lines.append(line)
            if _EVENT.search(line):
                self._release(name)
            elif held.timer is None:  # only now: on a busy machine it may take long until the child says anything
                held.timer = asyncio.get_running_loop().call_later(HELD_FOR, self._release, name)
        else:
            self._print(name, line)

    def refuses(self, name: str) -> None:
        """Print what is held as it is, unless another child said just that."""
        held = self._forget(name)
        reason = "\n".join(held.lines) if held else ""
        if reason and reason not in self._reasons:
            self._reasons.append(reason)
            self._refuse(reason)

    def forget_reasons(self) -> None:
        """Something has changed: whoever refuses now says why again."""
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
    """Return voices that speak on stdout, and give the reason why something cannot start on stderr."""
    return ProcessConsole(
        _line_to_stdout, colours=colours, plain=plain, refuse=lambda text: print(text, file=sys.stderr)
    )


def _line_to_stdout(line: str) -> None:
    print(line, flush=True)


def _coloured(line: str) -> str:
    found = _EVENT.search(line)
    code = _LEVELS.get(found[1] or "") if found else None
    if found is None or code is None:
        return line
    return f"{line[: found.start()]}\x1b[{code}m{found[0]}\x1b[0m{line[found.end() :]}"
