"""Real input for the demo's jobs: the list of installed packages, and a picture as large as a camera's."""

import io
from importlib.metadata import Distribution, distributions
from typing import Any

from PIL import Image

PICTURE_SIZE = (6000, 4000)
COLUMNS = ["Package", "Version", "Licence", "Needs", "What it is"]


def packages() -> list[Distribution]:
    """Return the installed packages, each once, by name."""
    found = {one.name.lower(): one for one in distributions() if one.name}
    return [found[name] for name in sorted(found)]


def report() -> dict[str, Any]:
    """Return the arguments of `pdf.render` for a report of the installed packages."""
    rows = [_row(one) for one in packages()]
    intro = f"{len(rows)} Python packages are installed where this report was made; it was rendered by a job."
    table = {"columns": COLUMNS, "rows": rows, "widths": [6, 3, 5, 2, 14]}
    section = {"heading": "Installed packages", "paragraphs": [intro], "table": table}
    return {"report": {"title": "Packages of this machine", "author": "Offload demo", "sections": [section]}}


def picture() -> bytes:
    """Return a JPEG of 24 megapixels, gradients under grain, which compresses like a photo."""
    width, height = PICTURE_SIZE
    grain = Image.effect_noise((width // 4, height // 4), 60).resize(PICTURE_SIZE, Image.Resampling.BICUBIC)
    light = (Image.radial_gradient("L"), Image.linear_gradient("L"), Image.linear_gradient("L").rotate(90))
    bands = [Image.blend(band.resize(PICTURE_SIZE), grain, 0.35) for band in light]
    buffer = io.BytesIO()
    Image.merge("RGB", bands).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _row(one: Distribution) -> list[str | int]:
    about: Any = one.metadata
    licence = about.get("License-Expression") or about.get("License") or ""
    return [one.name, one.version, _short(licence), len(one.requires or ()), _short(about.get("Summary") or "")]


def _short(text: str) -> str:
    """Return the first line in ASCII, which every PDF reader has letters for."""
    line = (text.strip().splitlines() or [""])[0].encode("ascii", "ignore").decode()
    return line if len(line) <= 80 else line[:79] + "."
