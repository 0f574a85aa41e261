"""Directories of code that is not the user's: Python, installed packages and Offload; its lines are never blamed."""

import site
import sysconfig
from pathlib import Path

FOREIGN = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | set(site.getsitepackages())
    | {str(Path(__file__).resolve().parents[1])}
)
