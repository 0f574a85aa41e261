"""file.checksum."""

import hashlib
import os

import pytest

from offload import GiveUp
from offload.domain.errors import Aborted, InvalidArguments
from offload.jobs.file import checksum

CONTENT = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def files(run_job):
    """Return the directory whose files may be read."""
    directory = run_job.settings.data_dir / "files"
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha3_256", "blake2b", "md5"])
async def test_an_artifact_is_digested(run_job, algorithm):
    """An artifact is digested by any of the algorithms."""
    artifact = run_job.put("a.bin", CONTENT)
    result = await run_job(checksum, artifact_id=artifact.id, algorithm=algorithm)

    assert (result.hex, result.size, result.name) == (
        hashlib.new(algorithm, CONTENT).hexdigest(),
        len(CONTENT),
        "a.bin",
    )


async def test_a_file_is_digested_with_progress(run_job, files):
    """A file below the directory is digested, and each part of it is told."""
    (files / "sub").mkdir()
    (files / "sub" / "a.bin").write_bytes(CONTENT)
    result = await run_job(checksum, path="sub/a.bin")

    assert (result.hex, result.size) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert [round(fraction, 2) for fraction, _ in run_job.progress] == [0.33, 0.67, 1.0, 1.0]


async def test_an_empty_file_is_digested(run_job, files):
    """An empty file has a checksum too."""
    (files / "empty").touch()

    assert (await run_job(checksum, path="empty")).hex == hashlib.sha256().hexdigest()


async def test_a_link_that_stays_inside_is_followed(run_job, files):
    """A symbolic link to a file of the same directory is followed."""
    (files / "a").write_bytes(b"x")
    (files / "link").symlink_to("a")

    assert (await run_job(checksum, path="link")).size == 1


@pytest.mark.parametrize(
    "path",
    ["../secret", "/etc/passwd", "sub/../../secret", "out", "outdir/secret", "nowhere", ".", "pipe", "sub", "a\x00b"],
)
async def test_what_is_no_file_below_the_directory_is_refused(run_job, files, path):
    """Traversal, absolute paths, links that lead out, directories and pipes end the job; none blocks."""
    (files.parent / "secret").write_bytes(b"secret")
    (files / "sub").mkdir()
    (files / "out").symlink_to("../secret")
    (files / "outdir").symlink_to("..")
    os.mkfifo(files / "pipe")

    with pytest.raises(GiveUp):
        await run_job(checksum, path=path)


async def test_an_abort_stops_between_parts(run_job, files):
    """An abort is looked at between parts of the file."""
    (files / "a.bin").write_bytes(CONTENT)
    run_job.on_progress = lambda *_: run_job.aborting.set()

    with pytest.raises(Aborted):
        await run_job(checksum, path="a.bin")
    assert len(run_job.progress) == 1


@pytest.mark.parametrize("arguments", [{}, {"artifact_id": "a", "path": "b"}])
async def test_one_source_is_needed(run_job, arguments):
    """Neither or both of artifact and path end the job with what would be right."""
    with pytest.raises(GiveUp, match="specify either artifact_id or path"):
        await run_job(checksum, **arguments)


async def test_an_unknown_algorithm_is_refused(run_job):
    """Only listed algorithms are taken."""
    with pytest.raises(InvalidArguments):
        await run_job(checksum, path="a", algorithm="crc32")
