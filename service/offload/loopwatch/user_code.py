"""Whose code is not the user's, and so is not to blame: Python's, that of installed packages, and our own."""

import site
import sysconfig
from pathlib import Path

FOREIGN = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | set(site.getsitepackages())
    | {str(Path(__file__).resolve().parents[1])}
)
"""The directories that it lies under."""
