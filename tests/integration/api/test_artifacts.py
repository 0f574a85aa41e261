"""Files that jobs made, over HTTP."""

import hashlib

import pytest

from integration.api.support import is_problem
from offload.store.jobs import artifacts
from offload.store.jobs.artifacts import ArtifactFiles

DATA = bytes(range(256)) * 10


@pytest.fixture
def make(redis_client, settings):
    """Store a file as a job would."""

    async def make(name="report.pdf", data=DATA, media_type=None):
        artifact = ArtifactFiles(settings.artifacts_dir).write(name, data, media_type)
        await artifacts.register(redis_client, artifact, 60_000)
        return artifact

    return make


async def test_a_file_comes_whole_with_its_type(api, make):
    """The bytes are the job's, with its media type, and the ETag is their SHA-256."""
    artifact = await make()
    response = await api.get(f"/v1/artifacts/{artifact.id}")

    assert (response.status_code, response.content) == (200, DATA)
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == 'inline; filename="report.pdf"'


@pytest.mark.parametrize("wanted", ['"{0}"', 'W/"{0}"', '"other", "{0}"', "*"])
async def test_a_file_that_is_known_is_not_sent_again(api, make, wanted):
    """If-None-Match with the file's ETag answers 304 without a body."""
    artifact = await make()
    response = await api.get(f"/v1/artifacts/{artifact.id}", headers={"If-None-Match": wanted.format(artifact.sha256)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == f'"{artifact.sha256}"'


@pytest.mark.parametrize(
    "media_type", ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml", "text/xml"]
)
async def test_what_can_carry_a_script_is_never_shown(api, make, media_type):
    """HTML, SVG and XML are downloads, in a sandbox, whatever the job said of them."""
    artifact = await make("page.html", b"<script>alert(1)</script>", media_type)
    response = await api.get(f"/v1/artifacts/{artifact.id}")

    assert response.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Übersicht.pdf", "inline; filename=\"_bersicht.pdf\"; filename*=UTF-8''%C3%9Cbersicht.pdf"),
        ('a"b.pdf', 'inline; filename="a_b.pdf"'),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ("a\r\nSet-Cookie: x=1.pdf", 'inline; filename="a__Set-Cookie: x=1.pdf"'),
        ("evil\u202efdp.exe", 'attachment; filename="evil_fdp.exe"'),
        ("", 'attachment; filename="file"'),
    ],
)
async def test_a_file_name_is_tame(api, make, name, said):
    """A name cannot break out of the header, name a path, or hide what it ends in."""
    media_type = "application/pdf" if name.endswith("pdf") else "application/octet-stream"
    artifact = await make(name, media_type=media_type)
    response = await api.get(f"/v1/artifacts/{artifact.id}")

    assert response.headers["content-disposition"] == said


async def test_a_made_up_media_type_becomes_bytes(api, make):
    """A media type that would break the header is not sent."""
    artifact = await make(media_type="text/html\r\nX-Evil: 1")
    response = await api.get(f"/v1/artifacts/{artifact.id}")

    assert response.headers["content-type"] == "application/octet-stream"
    assert "x-evil" not in response.headers


@pytest.mark.parametrize(
    ("wanted", "part"), [("bytes=0-9", DATA[:10]), ("bytes=2550-", DATA[2550:]), ("bytes=-5", DATA[-5:])]
)
async def test_a_part_of_a_file_can_be_had(api, make, wanted, part):
    """A range of bytes answers 206 with that part."""
    artifact = await make()
    response = await api.get(f"/v1/artifacts/{artifact.id}", headers={"Range": wanted})

    assert (response.status_code, response.content) == (206, part)


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=", "bytes=-", "bytes=5-2", "bytes=-0", "garbage"])
async def test_a_range_that_is_not_understood_is_ignored(api, make, wanted):
    """A malformed range gets the whole file, as RFC 9110 says."""
    artifact = await make()
    response = await api.get(f"/v1/artifacts/{artifact.id}", headers={"Range": wanted})

    assert (response.status_code, response.content) == (200, DATA)


async def test_a_range_after_the_end_is_416(api, make):
    """A range that begins after the file's end is a problem that tells its size."""
    artifact = await make()
    response = await api.get(f"/v1/artifacts/{artifact.id}", headers={"Range": "bytes=99999-"})

    assert is_problem(response, 416, "range-not-satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("artifact_id", ["0" * 32, "..%2f..%2fetc%2fpasswd", "a.b", "%00"])
async def test_an_unknown_file_is_404(api, artifact_id):
    """An id that no file has, or that is none, is a 404 problem."""
    response = await api.get(f"/v1/artifacts/{artifact_id}")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_file_that_was_removed_is_404(api, make, settings):
    """A file whose bytes are gone is not found, though it is still noted."""
    artifact = await make()
    ArtifactFiles(settings.artifacts_dir).path(artifact.id).unlink()
    response = await api.get(f"/v1/artifacts/{artifact.id}")

    assert is_problem(response, 404, "not-found")
