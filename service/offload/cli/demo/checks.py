"""Checks of results, from values alone: each function returns the list of problems, empty for a correct result."""

import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from email.message import EmailMessage
from typing import Any

from PIL import Image, ImageStat

_COLOUR_TOLERANCE = 6.0  # of 255: scaling and WebP change a picture's average colour by less


def artifact(about: dict[str, Any], content: bytes) -> list[str]:
    """Check that a file is the one that its job described."""
    wrong = []
    if len(content) != about["size"]:
        wrong.append(f"{about['name']} has {len(content)} bytes, but its job reported {about['size']}")
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        wrong.append(f"{about['name']} has another SHA-256 than its job reported")
    return wrong


def pdf(content: bytes, words: Iterable[str]) -> list[str]:
    """Check that a PDF is complete and contains every word."""
    if not content.startswith(b"%PDF-") or not content.rstrip().endswith(b"%%EOF"):
        return ["the PDF is incomplete"]
    text = pdf_text(content)
    missing = [word for word in words if word not in text]
    return [f"the text lacks {len(missing)} packages, for example {missing[0]!r}"] if missing else []


def pdf_text(content: bytes) -> str:
    """Return the text of a PDF with built-in fonts, without spaces between cells."""
    shown = b""
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            plain = zlib.decompress(stream)
        except zlib.error:
            continue
        shown += b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\) ?Tj", plain, re.DOTALL))
    return shown.decode("cp1252", "replace")


def pdf_pages(content: bytes) -> int:
    """Return the number of pages of a PDF."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))


def thumbnail(about: dict[str, Any], content: bytes, size: int, original: Image.Image) -> list[str]:
    """Check that a thumbnail has the requested size and shows the picture that was sent."""
    name = about["artifact"]["name"]
    with Image.open(io.BytesIO(content)) as picture:
        if picture.size != (about["width"], about["height"]) or max(picture.size) != size:
            return [f"{name} is {picture.width} x {picture.height}, but its longest side should be {size}"]
        colours = zip(_average(picture.convert("RGB")), _average(original), strict=True)
        if any(abs(ours - theirs) > _COLOUR_TOLERANCE for ours, theirs in colours):
            return [f"{name} has another colour than the picture that was sent"]
    return []


def mail(message: EmailMessage, subject: str, attachment: dict[str, Any]) -> list[str]:
    """Check that a received message is the one that was sent, with its attachment."""
    wrong = []
    if message["Subject"] != subject:
        wrong.append(f"the subject is {message['Subject']!r}, not {subject!r}")
    files = list(message.iter_attachments())
    if len(files) != 1:
        return [*wrong, f"the message has {len(files)} attachments, not 1"]
    content = files[0].get_content()
    if hashlib.sha256(content).hexdigest() != attachment["sha256"]:
        wrong.append("the attachment is not the PDF that was sent")
    return wrong


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Return the highest number of overlapping spans; one that ends when another starts does not overlap it."""
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def _average(picture: Image.Image) -> list[float]:
    return ImageStat.Stat(picture).mean
