"""image.thumbnails and image.compress on real pictures, some of them hostile."""

import base64
import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms, ImageDraw

from offload import GiveUp
from offload.domain.errors import Aborted, InvalidArguments
from offload.jobs.image import compress, thumbnails, upright


def picture(width=640, height=400, mode="RGB"):
    """Return a picture with a gradient, and a red square at its top left."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill=(255, 0, 0))
    return image.convert(mode)


def deep():
    """Return a grey picture that uses all of 16 bits."""
    return picture(mode="L").convert("I").point(lambda value: value * 257)


def encoded(image, kind, **options):
    """Return the bytes of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def given(data):
    """Return bytes as the argument of a job."""
    return {"content_base64": base64.b64encode(data).decode()}


def png_claiming(width, height):
    """Return a small PNG whose header claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def opened(run_job, artifact):
    """Return a picture that a job made."""
    image = Image.open(io.BytesIO(run_job.content(artifact)))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["webp", "jpeg", "png"])
async def test_a_thumbnail_is_made_for_each_size(run_job, kind):
    """Each size gives one thumbnail that fits it, in the order asked for, in the format asked for."""
    made = await run_job(thumbnails, image=given(encoded(picture(), "JPEG")), sizes=[64, 320, 128], format=kind)

    assert [(one.width, one.height) for one in made] == [(64, 40), (320, 200), (128, 80)]
    assert [opened(run_job, one.artifact).size for one in made] == [(64, 40), (320, 200), (128, 80)]
    assert {opened(run_job, one.artifact).format for one in made} == {kind.upper()}
    assert made[0].artifact.name == f"thumbnail-64.{kind}"
    assert made[0].artifact.media_type == f"image/{kind}"
    assert run_job.progress[-1] == (1.0, "128 px: 128 x 80")


async def test_a_picture_is_never_made_larger(run_job):
    """A size above the picture's own gives the picture's own."""
    [made] = await run_job(thumbnails, image=given(encoded(picture(), "PNG")), sizes=[2000])

    assert (made.width, made.height) == (640, 400)


async def test_a_picture_may_be_an_artifact(run_job):
    """A picture that another job made is taken by its id."""
    artifact = run_job.put("a.png", encoded(picture(), "PNG"))
    [made] = await run_job(thumbnails, image={"artifact_id": artifact.id}, sizes=[100])

    assert made.width == 100


async def test_the_picture_is_turned_upright_and_stripped(run_job):
    """EXIF orientation is applied, then EXIF, comments and profiles are gone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Spy Cam"
    turned = picture().transpose(Image.Transpose.ROTATE_90)
    source = encoded(turned, "JPEG", exif=exif, comment=b"secret place", quality=95)
    [made] = await run_job(thumbnails, image=given(source), sizes=[640], format="jpeg")
    image = opened(run_job, made.artifact)
    red, green, _ = image.getpixel((10, 10))

    assert (made.width, made.height) == (640, 400)
    assert red > 200
    assert green < 100
    assert not image.getexif()
    assert b"Spy Cam" not in run_job.content(made.artifact)
    assert b"secret place" not in run_job.content(made.artifact)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("kind", ["webp", "jpeg", "png"])
async def test_every_png_mode_is_handled(run_job, mode, kind):
    """Bilevel, grey, 16 bit, palette and alpha pictures come out as any of the formats."""
    source = deep().convert("I;16") if mode == "I;16" else picture(mode=mode)
    [made] = await run_job(thumbnails, image=given(encoded(source, "PNG")), sizes=[100], format=kind)
    low, high = opened(run_job, made.artifact).convert("L").getextrema()

    assert low < 60
    assert high > 200


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("CMYK", "JPEG", {}),
        ("RGB", "GIF", {}),
        ("RGB", "BMP", {}),
        ("CMYK", "TIFF", {}),
        ("RGB", "AVIF", {}),
        ("RGBA", "WEBP", {}),
    ],
)
async def test_every_input_format_is_read(run_job, mode, kind, options):
    """JPEG in CMYK, GIF, BMP, TIFF, AVIF and WebP are read, and red stays red."""
    [made] = await run_job(
        thumbnails, image=given(encoded(picture(mode=mode), kind, **options)), sizes=[100], format="png"
    )
    red, green, *_ = opened(run_job, made.artifact).convert("RGB").getpixel((5, 5))

    assert red > 180
    assert green < 80


@pytest.mark.parametrize("mode", ["I", "F"])
async def test_deep_greys_are_scaled(run_job, mode):
    """32-bit and float greys are scaled to 8 bits, not clipped to white."""
    [made] = await run_job(thumbnails, image=given(encoded(deep().convert(mode), "TIFF")), sizes=[100])
    histogram = opened(run_job, made.artifact).convert("L").histogram()

    assert sum(histogram[:60]) > 500
    assert sum(histogram[200:]) > 500


async def test_transparency_is_kept_or_laid_on_white(run_job):
    """A transparent pixel stays transparent in PNG and WebP, and is white in JPEG."""
    source = given(encoded(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG"))
    pixels = {}
    for kind in ("png", "webp", "jpeg"):
        [made] = await run_job(thumbnails, image=source, sizes=[50], format=kind)
        pixels[kind] = opened(run_job, made.artifact).getpixel((5, 5))

    assert (pixels["png"][3], pixels["webp"][3]) == (0, 0)
    assert min(pixels["jpeg"]) > 250


async def test_the_first_frame_of_an_animation_is_taken(run_job):
    """An animated GIF gives a still of its first frame."""
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("red", "blue", "green")]
    source = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    [made] = await run_job(thumbnails, image=given(source), sizes=[60], format="png")
    image = opened(run_job, made.artifact)

    assert image.convert("RGB").getpixel((5, 5)) == (255, 0, 0)
    assert getattr(image, "n_frames", 1) == 1


async def test_an_embedded_colour_profile_is_applied(run_job):
    """A picture with a profile is brought to sRGB; a broken profile is ignored."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (lab, b"no profile"):
        [made] = await run_job(
            thumbnails, image=given(encoded(picture(), "PNG", icc_profile=profile)), sizes=[100], format="png"
        )
        image = opened(run_job, made.artifact)

        assert image.getpixel((5, 5))[0] > 240
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("function", [thumbnails, compress])
async def test_a_decompression_bomb_is_refused_unread(run_job, function):
    """50,000 x 50,000 pixels are refused by the header, naming size and limit, in next to no memory."""
    arguments = {"sizes": [100]} if function is thumbnails else {}

    with pytest.raises(GiveUp, match=r"50,000 x 50,000 pixels \(2,500 megapixels\); the limit is 50 megapixels"):
        await run_job(function, image=given(png_claiming(50_000, 50_000)), **arguments)


def test_a_gif_bomb_is_refused_unread():
    """The same holds for a GIF that claims 65,535 x 65,535."""
    bomb = (
        b"GIF89a"
        + struct.pack("<HH", 65535, 65535)
        + b"\x00\x00\x00"
        + b",\x00\x00\x00\x00"
        + struct.pack("<HH", 65535, 65535)
        + b"\x00\x02\x02L\x01\x00;"
    )

    with pytest.raises(GiveUp, match="65,535 x 65,535"):
        upright(bomb)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a supported picture; supported formats: JPEG, PNG"),
        (b"hello", "not a supported picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a supported picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a supported picture"),
        (encoded(picture(), "JPEG")[:2000], "damaged or truncated"),
        (encoded(picture(), "PNG")[:500], "damaged or truncated"),
        (encoded(picture(), "WEBP")[:500], "(damaged|not a supported picture)"),
        (encoded(picture(), "TIFF")[:500], "(damaged|not a supported picture)"),
        (png_claiming(100, 100), "damaged or truncated"),
        (png_claiming(0, 100), "(damaged|not a supported picture)"),
    ],
)
async def test_what_is_no_whole_picture_ends_the_job(run_job, data, said):
    """Unreadable, unsupported and truncated data end the job with what is wrong."""
    with pytest.raises(GiveUp, match=said):
        await run_job(thumbnails, image=given(data), sizes=[100])


async def test_an_abort_stops_between_sizes(run_job):
    """An abort is looked at before each size."""
    run_job.on_progress = lambda fraction, _: fraction and run_job.aborting.set()

    with pytest.raises(Aborted):
        await run_job(thumbnails, image=given(encoded(picture(), "PNG")), sizes=[10, 20, 30])
    assert len(run_job.artifacts) == 1


@pytest.mark.parametrize("kind", ["webp", "jpeg", "png"])
async def test_compression_makes_a_picture_smaller(run_job, kind):
    """The result fits `max_side` and tells both sizes in bytes and their ratio."""
    source = encoded(Image.effect_noise((800, 600), 60).convert("RGB"), "BMP")
    result = await run_job(compress, image=given(source), quality=40, max_side=400, format=kind)

    assert (result.width, result.height) == (400, 300)
    assert result.before_bytes == len(source)
    assert result.after_bytes == len(run_job.content(result.artifact)) < len(source) // 2
    assert result.ratio == round(result.after_bytes / result.before_bytes, 4)
    assert opened(run_job, result.artifact).size == (400, 300)


async def test_quality_counts(run_job):
    """A lower quality gives fewer bytes."""
    source = given(encoded(Image.effect_noise((300, 300), 60).convert("RGB"), "PNG"))
    low = await run_job(compress, image=source, quality=20)
    high = await run_job(compress, image=source, quality=90)

    assert low.after_bytes < high.after_bytes


async def test_a_side_too_long_for_webp_ends_the_job(run_job):
    """A picture longer than WebP can hold is refused, with the limit."""
    source = given(encoded(Image.new("L", (20_000, 10)), "PNG"))

    with pytest.raises(GiveUp, match="16,383 pixels a side, not 20,000"):
        await run_job(compress, image=source, format="webp")
    assert (await run_job(compress, image=source, format="webp", max_side=16_383)).width == 16_383


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"sizes": []}, "sizes"),
        ({"sizes": [0]}, "sizes.0"),
        ({"sizes": [1] * 21}, "sizes"),
        ({"sizes": [1], "format": "bmp"}, "format"),
        ({"sizes": [1], "image": {}}, "image"),
        ({"sizes": [1], "image": {"content_base64": "x", "artifact_id": "y"}}, "image.content_base64"),
        ({"sizes": [1], "image": {"path": "/etc/passwd"}}, "image.path"),
    ],
)
async def test_senseless_arguments_are_refused_at_once(run_job, arguments, path):
    """No sizes, unknown formats, and pictures by path are refused with the path of the field."""
    with pytest.raises(InvalidArguments) as caught:
        await run_job(thumbnails, **{"image": {"artifact_id": "a"}, **arguments})
    assert path in [fault.path for fault in caught.value.fields]
