"""The demo judges by itself: each check sees what is wrong."""

import hashlib
import io
import zlib
from email.message import EmailMessage

import pytest
from PIL import Image

from offload.cli.demo import checks, material
from offload.cli.demo.caller import events
from offload.cli.demo.probe import Latencies
from offload.cli.demo.runs import Run


def described(name, content):
    """The description of a file by its job."""
    return {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_file_is_the_one_that_was_described():
    """A file of another length or other bytes is seen."""
    about = described("a", b"right")

    assert checks.artifact(about, b"right") == []
    assert "SHA-256" in checks.artifact(about, b"wrong")[0]
    assert len(checks.artifact(about, b"too long")) == 2


def test_a_pdf_has_every_word():
    """A PDF that is cut off, or lacks a word in its text, is seen; a word that wraps is whole."""
    stream = zlib.compress(b"BT (charset-) Tj ET BT (normalizer) Tj ET BT (a \\(b\\)) Tj ET")
    pdf = b"%PDF-1.4\n<< /Type /Page >>\nstream\n" + stream + b"\nendstream\n%%EOF\n"

    assert checks.pdf(pdf, ["charset-normalizer"]) == []
    assert checks.pdf(pdf, ["numpy"]) == ["the text lacks 1 packages, for example 'numpy'"]
    assert checks.pdf(pdf[:-8], []) == ["the PDF is incomplete"]
    assert checks.pdf_pages(pdf) == 1


def picture(size, colour):
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_thumbnail_is_of_the_picture():
    """A thumbnail of another size, or of another picture, is seen."""
    original = Image.new("RGB", (600, 400), (200, 10, 10))
    about = {"width": 96, "height": 64, "artifact": {"name": "t"}}

    assert checks.thumbnail(about, picture((96, 64), (200, 10, 10)), 96, original) == []
    assert "should be 96" in checks.thumbnail(about, picture((95, 64), (200, 10, 10)), 96, original)[0]
    assert "another colour" in checks.thumbnail(about, picture((96, 64), (10, 10, 200)), 96, original)[0]


def test_a_mail_is_the_one_that_was_sent():
    """Another subject, another attachment or none is seen."""
    message = EmailMessage()
    message["Subject"] = "Hello"
    message.set_content("x")
    bare = checks.mail(message, "Hello", described("a", b"pdf"))
    message.add_attachment(b"pdf", maintype="application", subtype="pdf", filename="a.pdf")

    assert bare == ["the message has 0 attachments, not 1"]
    assert checks.mail(message, "Hello", described("a", b"pdf")) == []
    assert checks.mail(message, "Hallo", described("a", b"other")) == [
        "the subject is 'Hello', not 'Hallo'",
        "the attachment is not the PDF that was sent",
    ]


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 2), (1, 3), (2, 4)], 2),
        ([(0, 1), (1, 2), (2, 3)], 1),
        ([(0, 9), (1, 9), (2, 9)], 3),
    ],
)
def test_how_many_ran_at_once(spans, most):
    """Overlapping runs are counted; one that starts when another ends does not overlap it."""
    assert checks.most_at_once(spans) == most


async def test_server_sent_events_are_read():
    """Id, name and JSON of each event come out; comments and events without data are passed over."""

    async def lines():
        for line in ["id: 1-0.0", "event: running", 'data: {"attempt": 1}', "", ": keep-alive", "", "event: x", ""]:
            yield line

    assert [event async for event in events(lines())] == [("1-0.0", "running", {"attempt": 1})]


def test_a_run_follows_its_events():
    """State, attempt and progress are those of the last event; the document comes with the terminal one."""
    run = Run("t", "f")
    run.take_event("running", {"attempt": 2})
    run.take_event("progress", {"fraction": 0.5, "message": "half"})
    run.take_event("log", {"message": "x"})
    midway = (run.status, run.attempt, run.fraction, run.message)
    times = {"enqueued_at": "2026-11-22T05:00:00Z", "started_at": "2026-11-22T05:00:03Z"}
    failed = {"started_at": "2026-11-22T05:00:01Z", "ended_at": "2026-11-22T05:00:02Z"}
    document = {**times, "finished_at": "2026-11-22T05:00:05Z", "attempts": [failed], "result": 1}
    run.take_event("succeeded", {"attempt": 2, "job": document})

    assert midway == ("running", 2, 0.5, "half")
    assert (run.status, run.wait, run.ran) == ("succeeded", 1.0, 2.0)
    assert [end - start for start, end in run.attempts()] == [1.0, 2.0]


def test_percentiles_are_of_what_was_measured():
    """p50, p99 and max are times that were measured (nearest rank), and 0 where nothing was."""
    spans = Latencies([float(n) for n in range(1, 101)], failed=2)

    assert spans.describe() == {"calls": 100, "failed": 2, "p50_ms": 50.0, "p99_ms": 99.0, "max_ms": 100.0}
    assert Latencies().percentile(0.5) == 0.0


def test_the_report_is_of_what_is_installed():
    """The demo's report names real packages of this machine, each once."""
    rows = material.report()["report"]["sections"][0]["table"]["rows"]
    names = [row[0].lower() for row in rows]

    assert "pytest" in names
    assert len(names) == len(set(names))
