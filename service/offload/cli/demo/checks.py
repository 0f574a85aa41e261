"""Judges results from values alone: each check returns what is wrong, nothing where all is right."""

import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from email.message import EmailMessage
from typing import Any

from PIL import Image, ImageStat

_COLOUR_TOLERANCE = 6.0  # of 255: what scaling and WebP may change of a picture's average colour


def artifact(about: dict[str, Any], content: bytes) -> list[str]:
    """Judge whether a file is the one that its job described."""
    wrong = []
    if len(content) != about["size"]:
        wrong.append(f"{about['name']} has {len(content)} bytes, and the job said {about['size']}")
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        wrong.append(f"{about['name']} has another SHA-256 than the job said")
    return wrong


def pdf(content: bytes, words: Iterable[str]) -> list[str]:
    """Judge whether a PDF is whole and has every word in its text."""
    if not content.startswith(b"%PDF-") or not content.rstrip().endswith(b"%%EOF"):
        return ["it is no whole PDF"]
    text = pdf_text(content)
    missing = [word for word in words if word not in text]
    return [f"{len(missing)} packages are not in its text, as {missing[0]!r}"] if missing else []


def pdf_text(content: bytes) -> str:
    """Return what a PDF of built-in fonts shows, without spaces between cells."""
    shown = b""
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            plain = zlib.decompress(stream)
        except zlib.error:
            continue
        shown += b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\) ?Tj", plain, re.DOTALL))
    return shown.decode("cp1252", "replace")


def pdf_pages(content: bytes) -> int:
    """Return how many pages a PDF has."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))


def thumbnail(about: dict[str, Any], content: bytes, size: int, original: Image.Image) -> list[str]:
    """Judge whether a thumbnail has the size that was asked for, and is of the picture that was sent."""
    name = about["artifact"]["name"]
    with Image.open(io.BytesIO(content)) as picture:
        if picture.size != (about["width"], about["height"]) or max(picture.size) != size:
            return [f"{name} is {picture.width} x {picture.height}, and its longest side should be {size}"]
        colours = zip(_average(picture.convert("RGB")), _average(original), strict=True)
        if any(abs(ours - theirs) > _COLOUR_TOLERANCE for ours, theirs in colours):
            return [f"{name} is of another colour than the picture that was sent"]
    return []


def mail(message: EmailMessage, subject: str, attachment: dict[str, Any]) -> list[str]:
    """Judge whether a message that arrived is the one that was sent, with the file that was attached."""
    wrong = []
    if message["Subject"] != subject:
        wrong.append(f"its subject is {message['Subject']!r}, not {subject!r}")
    files = list(message.iter_attachments())
    if len(files) != 1:
        return [*wrong, f"it has {len(files)} attachments, not 1"]
    content = files[0].get_content()
    if hashlib.sha256(content).hexdigest() != attachment["sha256"]:
        wrong.append("its attachment is not the PDF that was attached")
    return wrong


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Return how many spans of time overlap at most; one that ends when another starts does not overlap it."""
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def _average(picture: Image.Image) -> list[float]:
    return ImageStat.Stat(picture).mean
