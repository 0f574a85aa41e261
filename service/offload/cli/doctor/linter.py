"""Runs ruff's ASYNC rules (flake8-async) over files in a separate process."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from offload.cli.doctor.findings import Finding
from offload.domain.errors import OffloadError

# A `timeout` parameter (ASYNC109) is what callers of an async function look for; inside it is asyncio.timeout().
_RULES = ("--isolated", "--select", "ASYNC", "--ignore", "ASYNC109", "--target-version", "py311")
_TIMEOUT_S = 120


class LinterMissing(OffloadError):
    """Ruff is not installed, or failed."""


def lint(files: Sequence[Path]) -> list[Finding]:
    """Return ruff's findings; raises LinterMissing, which says how to install it."""
    if not files:
        return []
    command = [
        *_ruff(),
        "check",
        *_RULES,
        "--no-cache",
        "--exit-zero",
        "--output-format",
        "json",
        "--",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        raise LinterMissing(f"ruff failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return [_finding(one) for one in orjson.loads(done.stdout) if str(one["code"]).startswith("ASYNC")]


def _ruff() -> list[str]:
    if importlib.util.find_spec("ruff") is not None:
        return [sys.executable, "-m", "ruff"]
    if found := shutil.which("ruff"):
        return [found]
    raise LinterMissing("`offload doctor --code` needs ruff, which is not installed: pip install 'offload[doctor]'")


def _finding(one: dict[str, object]) -> Finding:
    place = one["location"]
    assert isinstance(place, dict)  # noqa: S101 - by ruff's own schema
    file = os.path.relpath(str(one["filename"]))
    return Finding(file, place["row"], place["column"], str(one["code"]), str(one["message"]), str(one["url"] or ""))
