"""Pictures: thumbnails and compression with Pillow, in a child process.

Pictures come from strangers. The header is read and judged first; nothing is decoded that is over the limit.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, Field

from offload import Artifact, GiveUp, JobContext, job
from offload.jobs.inputs import FileInput

MOST_PIXELS = 50_000_000
READABLE = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
LONGEST_SIDE = {"webp": 16_383, "jpeg": 65_500, "png": 1_000_000}
THUMBNAIL_QUALITY = 82
WHITE = (255, 255, 255)

# What Pillow's decoders raise on data that was damaged, by accident or on purpose.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

Format = Literal["webp", "jpeg", "png"]
Side = Annotated[int, Field(ge=1, le=16_383)]


class ImageInput(FileInput):
    """A picture (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF): either its content in base64, or the id of an artifact."""


class Thumbnail(BaseModel):
    """One thumbnail and its real size in pixels."""

    width: int
    height: int
    artifact: Artifact


class Compressed(BaseModel):
    """The smaller picture; `ratio` is its size over the original's, in bytes."""

    width: int
    height: int
    artifact: Artifact
    before_bytes: int
    after_bytes: int
    ratio: float


@job(runs_in="process", timeout=60, max_tries=3, keep_result=86400)
def thumbnails(
    ctx: JobContext,
    image: ImageInput,
    sizes: Annotated[list[Side], Field(min_length=1, max_length=20)],
    format: Format = "webp",  # noqa: A002 - the word that callers expect
) -> list[Thumbnail]:
    """Make a thumbnail for each size, the longest side in pixels; a picture is never enlarged.

    The result is in the order of `sizes`. The picture is turned upright as its EXIF says, its first frame is taken,
    its colours are brought to sRGB and all metadata are left out.
    """
    ctx.progress(0.0, "reading")
    _, data = image.read(ctx)
    base = upright(data, longest_side=max(sizes))
    made: list[Thumbnail] = []
    for size in sizes:
        ctx.raise_if_aborted()
        small = base.copy()
        small.thumbnail((size, size), Image.Resampling.LANCZOS)
        artifact = ctx.artifact(
            f"thumbnail-{size}.{format}", encode(small, format, THUMBNAIL_QUALITY), f"image/{format}"
        )
        made.append(Thumbnail(width=small.width, height=small.height, artifact=artifact))
        ctx.progress(len(made) / len(sizes), f"{size} px: {small.width} x {small.height}")
    return made


@job(runs_in="process", timeout=60, max_tries=3, keep_result=86400)
def compress(
    ctx: JobContext,
    image: ImageInput,
    quality: Annotated[int, Field(ge=1, le=95)] = 75,
    max_side: Side | None = None,
    format: Format = "webp",  # noqa: A002 - the word that callers expect
) -> Compressed:
    """Re-encode a picture to make it smaller, without metadata, its longest side `max_side` pixels at most.

    `quality` counts for WebP and JPEG; PNG is lossless. JPEG has no transparency: it is laid on white.
    """
    ctx.progress(0.0, "reading")
    _, data = image.read(ctx)
    picture = upright(data, longest_side=max_side)
    ctx.progress(0.5, f"encoding {picture.width} x {picture.height}")
    ctx.raise_if_aborted()
    smaller = encode(picture, format, quality)
    return Compressed(
        width=picture.width,
        height=picture.height,
        artifact=ctx.artifact(f"compressed.{format}", smaller, f"image/{format}"),
        before_bytes=len(data),
        after_bytes=len(smaller),
        ratio=round(len(smaller) / len(data), 4),
    )


def upright(data: bytes, longest_side: int | None = None) -> Image.Image:
    """Decode an untrusted picture: first frame, upright, sRGB, mode RGB or RGBA, without metadata.

    It is made smaller to fit `longest_side` (JPEG while decoding, which is many times faster). Raises GiveUp if the
    data are not a supported picture, are damaged, or would unpack to more than MOST_PIXELS.
    """
    with _no_picture_is_trusted():
        opened = _opened(data)
        width, height = opened.size
        if width * height > MOST_PIXELS:
            msg = (
                f"the picture claims to have {width:,} x {height:,} pixels ({width * height / 1e6:,.0f} megapixels); "
                f"the limit is {MOST_PIXELS / 1e6:,.0f} megapixels; nothing was decoded"
            )
            raise GiveUp(msg)
        try:
            if longest_side is not None:
                opened.draft(None, (longest_side, longest_side))
            opened.load()
            picture = _in_srgb(ImageOps.exif_transpose(opened))
        except _BROKEN as error:
            msg = f"the {opened.format} picture is damaged or truncated: {error}"
            raise GiveUp(msg) from error
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture


@contextmanager
def _no_picture_is_trusted() -> Iterator[None]:
    """Disable Pillow's own check during our stricter one: its error lacks the size of the picture."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=READABLE)
    except UnidentifiedImageError:
        msg = f"these {len(data):,} bytes are not a supported picture; supported formats: {', '.join(READABLE)}"
        raise GiveUp(msg) from None
    except _BROKEN as error:
        msg = f"the header of the picture is damaged: {error}"
        raise GiveUp(msg) from error


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB or RGBA and sRGB, without metadata."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _in_8_bits(picture)
    has_alpha = picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
    mode = "RGBA" if has_alpha else "RGB"
    converted = _by_profile(picture, profile, mode) or (picture if picture.mode == mode else picture.convert(mode))
    if converted is picture:
        converted = picture.copy()
    converted.info.clear()
    return converted


def _in_8_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit and float greys to 8 bits; a plain conversion would clip nearly all to white."""
    grey = picture.convert("F")
    extrema: Any = grey.getextrema()
    low, high = (0.0, 65535.0) if picture.mode.startswith("I;16") else extrema
    scale = 255.0 / (high - low or 1.0)
    return grey.point(lambda value: value * scale - low * scale).convert("L")


def _by_profile(picture: Image.Image, profile: Any, mode: str) -> Image.Image | None:
    """Convert by the embedded colour profile; None if it is missing or invalid."""
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return None
    try:
        return ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def encode(picture: Image.Image, format: Format, quality: int) -> bytes:  # noqa: A002
    """Encode an RGB or RGBA picture; raise GiveUp if the format cannot hold such a large picture."""
    if max(picture.size) > LONGEST_SIDE[format]:
        msg = f"{format} supports {LONGEST_SIDE[format]:,} pixels a side, not {max(picture.size):,}; set a smaller size"
        raise GiveUp(msg)
    if format == "jpeg" and picture.mode == "RGBA":
        flat = Image.new("RGB", picture.size, WHITE)
        flat.paste(picture, mask=picture.getchannel("A"))
        picture = flat
    options: dict[Format, dict[str, Any]] = {
        "webp": {"quality": quality, "method": 4},
        "jpeg": {"quality": quality, "optimize": True, "progressive": True},
        "png": {"optimize": True},
    }
    buffer = io.BytesIO()
    picture.save(buffer, format, **options[format])
    return buffer.getvalue()
