"""The doctor's findings as values, and the comments in the source that silence them."""

import re
from dataclasses import asdict, dataclass
from typing import Any

_NOQA = re.compile(r"#\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?", re.IGNORECASE)
_WHOLE_FILE = re.compile(r"\s*# ruff: noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?", re.IGNORECASE)
# A comment for ruff that a call may block counts for our checks as well.
_SAME = {"OFF101": "ASYNC2", "OFF102": "ASYNC2"}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One problem: its place, a description, and what to do instead."""

    file: str
    line: int
    column: int
    code: str
    what: str
    instead: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        advice = f": {self.instead}" if self.instead else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.what}{advice}"


def is_silenced(finding: Finding, lines: list[str]) -> bool:
    """Return true if the line has `# noqa`, bare or with the finding's code."""
    text = lines[finding.line - 1] if 0 < finding.line <= len(lines) else ""
    said = [found for found in (_NOQA.search(text), *map(_WHOLE_FILE.match, lines)) if found is not None]
    return any(_means(found["codes"], finding.code) for found in said)


def _means(codes: str | None, code: str) -> bool:
    named = re.findall(r"[A-Z]+[0-9]+", (codes or "").upper())
    same = _SAME.get(code)
    return not named or code in named or (same is not None and any(one.startswith(same) for one in named))


def merged(ours: list[Finding], others: list[Finding]) -> list[Finding]:
    """Return all findings; for a line that both found, the linter's, with our advice."""
    advice = {(one.file, one.line): one.instead for one in ours if one.code == "OFF101"}
    reported = {(one.file, one.line) for one in others}
    kept = [one for one in ours if one.code != "OFF101" or (one.file, one.line) not in reported]
    improved = [
        Finding(one.file, one.line, one.column, one.code, one.what, advice.get((one.file, one.line), one.instead))
        for one in others
    ]
    return sorted({*kept, *improved})
