"""pdf.render, read back with pypdf."""

import base64
import io
import unicodedata

import pypdf
import pytest
from PIL import Image

from offload import GiveUp
from offload.domain.errors import Aborted, InvalidArguments
from offload.jobs import pdf, pdf_layout
from offload.jobs.pdf import render


async def rendered(run_job, **report):
    """Render a report and open it."""
    artifact = await run_job(render, report={"title": "Report", **report})
    return pypdf.PdfReader(io.BytesIO(run_job.content(artifact)))


def text_of(reader):
    """Return the text of all pages."""
    return "\n".join(page.extract_text() for page in reader.pages)


async def test_a_report_holds_all_that_was_given(run_job):
    """Title, subtitle, author, headings, paragraphs and table cells are in the document."""
    reader = await rendered(
        run_job,
        title="Quarterly numbers",
        subtitle="All regions",
        author="Ann",
        sections=[
            {"heading": "Summary", "paragraphs": ["It went well — mostly.", "Second “paragraph” for 5 €."]},
            {
                "heading": "Details",
                "table": {"columns": ["Name", "Count"], "rows": [["apples", 1234], ["pears", None], ["figs", True]]},
            },
        ],
    )
    text = text_of(reader)

    for expected in (
        "Quarterly numbers",
        "All regions",
        "Ann · ",
        "Summary",
        "It went well — mostly.",
        "“paragraph” for 5 €",
    ):
        assert expected in text
    for expected in ("Name", "Count", "apples", "1,234", "pears", "figs", "yes", "Page 1 of 1"):
        assert expected in text
    assert (reader.metadata.title, reader.metadata.author) == ("Quarterly numbers", "Ann")
    assert [entry.title for entry in reader.outline] == ["Summary", "Details"]


async def test_the_artifact_is_named_after_the_title(run_job):
    """The artifact is a PDF named after the title."""
    artifact = await run_job(render, report={"title": "Über: 2026/11 numbers!"})

    assert (artifact.name, artifact.media_type) == ("ber-2026-11-numbers.pdf", "application/pdf")


async def test_a_long_table_repeats_its_header_on_every_page(run_job):
    """Each page of a long table has the header and its number, and no row is lost."""
    rows = [[f"item-{n}", n] for n in range(400)]
    reader = await rendered(run_job, sections=[{"table": {"columns": ["Thing", "Number"], "rows": rows}}])
    pages = [page.extract_text() for page in reader.pages]

    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert "Thing" in page
        assert f"Page {number} of {len(pages)}" in page
    assert [word for page in pages for word in page.split() if word.startswith("item-")] == [
        f"item-{n}" for n in range(400)
    ]


async def test_a_long_cell_wraps_and_may_go_over_pages(run_job):
    """A cell of any length is wrapped, between words and within long ones, and continues on the next page."""
    words = [f"w{n}" for n in range(4000)]
    rows = [[" ".join(words), "x" * 3000], ["after", "the end"]]
    reader = await rendered(run_job, sections=[{"table": {"columns": ["A", "B"], "rows": rows, "widths": [3, 1]}}])
    found = text_of(reader).split()

    assert [word for word in found if word[0] == "w" and word[1:].isdigit()] == words
    assert sum(word.count("x") for word in found if set(word) == {"x"}) == 3000
    assert "after" in found
    assert len(reader.pages) >= 3


async def test_progress_is_told_along_the_rows(run_job):
    """Progress grows with the rows, in at most some hundred steps."""
    rows = [[n] for n in range(2000)]
    await rendered(run_job, sections=[{"table": {"columns": ["n"], "rows": rows}}])
    fractions = [fraction for fraction, _ in run_job.progress]

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert 50 < len(fractions) <= 101


@pytest.mark.skipif(
    not any(regular.is_file() for regular, _ in pdf_layout.SYSTEM_FONTS), reason="no font of the system"
)
async def test_other_scripts_are_set_in_a_font_of_the_system(run_job):
    """Greek and Cyrillic are embedded in a font that has them."""
    reader = await rendered(run_job, title="Ελληνικά", sections=[{"paragraphs": ["Привет, мир"]}])

    assert "Ελληνικά" in text_of(reader)
    assert "Привет, мир" in text_of(reader)


async def test_without_a_font_characters_are_replaced_and_counted(run_job, monkeypatch):
    """Where no font has a character it becomes '?', and the document and the log say how many were."""
    monkeypatch.setattr(pdf, "typeface_for", lambda characters: pdf_layout.typeface_for(characters, fonts=()))
    reader = await rendered(
        run_job, title="日本 2026", sections=[{"table": {"columns": ["é"], "rows": [["Привет 👍🏽"]]}}]
    )
    text = text_of(reader)

    assert "?? 2026" in text
    assert "?????? ??" in text
    assert "Characters missing in all available fonts, replaced by '?': " in text
    assert [line["message"] for line in run_job.logged] == ["pdf_characters_replaced"]


async def test_no_text_can_break_it(run_job):
    """Any characters at all, control characters and emoji included, make a readable document."""
    odd = "".join(chr(n) for n in [*range(1, 0x250), 0x200B, 0x200D, 0x202E, 0xFE0F, 0xFFFD, 0x1F468, 0x10FFFF])
    sections = [
        {
            "heading": odd[:400],
            "paragraphs": [odd, ""],
            "table": {"columns": ["", odd[:100]], "rows": [[odd, ""], ["", "\n\n"]]},
        }
    ]
    reader = await rendered(run_job, title="a" * 300, subtitle=odd[:500], sections=sections)

    assert "abcdefgh" in text_of(reader)
    assert unicodedata.normalize("NFC", "Ã") in text_of(reader)


async def test_a_picture_is_placed(run_job):
    """A picture of a section is embedded, transparency and all."""
    buffer = io.BytesIO()
    Image.new("RGBA", (300, 200), (255, 0, 0, 100)).save(buffer, "PNG")
    reader = await rendered(
        run_job, sections=[{"image": {"content_base64": base64.b64encode(buffer.getvalue()).decode()}}]
    )

    assert [image.image.size for image in reader.pages[0].images] == [(300, 200)]


async def test_a_hostile_picture_ends_the_job(run_job):
    """A picture of a section is judged as strictly as any other."""
    with pytest.raises(GiveUp, match="not a supported picture"):
        await rendered(run_job, sections=[{"image": {"content_base64": "aGVsbG8="}}])


async def test_the_largest_table_is_rendered_within_the_timeout(run_job):
    """20,000 rows of five columns are rendered in the time the job has, with room to spare."""
    rows = [[f"name {n}", n, n / 7, "some words that may wrap around", None] for n in range(20_000)]
    reader = await rendered(run_job, sections=[{"table": {"columns": list("abcde"), "rows": rows}}])

    assert "name 19999" in reader.pages[-1].extract_text()


async def test_an_abort_stops_it(run_job):
    """An abort is looked at along the rows."""
    run_job.on_progress = lambda *_: run_job.aborting.set()

    with pytest.raises(Aborted):
        await rendered(run_job, sections=[{"table": {"columns": ["n"], "rows": [[n] for n in range(1000)]}}])
    assert len(run_job.progress) == 1


@pytest.mark.parametrize(
    ("report", "path", "said"),
    [
        (
            {"sections": [{"table": {"columns": ["a"], "rows": [[1]] * 20_001}}]},
            "report",
            "20,001 rows; the limit of a report is 20,000",
        ),
        ({"sections": [{"paragraphs": ["x" * 100_000] * 31}]}, "report", "the limit is 3,000,000"),
        (
            {"sections": [{"table": {"columns": ["a", "b"], "rows": [[1, 2], [1]]}}]},
            "report.sections.0.table",
            "row 1 has 1 cells",
        ),
        (
            {"sections": [{"table": {"columns": ["a"], "rows": [], "widths": [1, 2]}}]},
            "report.sections.0.table",
            "2 widths for 1",
        ),
        ({"sections": [{"table": {"columns": [], "rows": []}}]}, "report.sections.0.table.columns", "at least 1"),
        ({"title": ""}, "report.title", "at least 1"),
    ],
)
async def test_a_report_that_cannot_be_printed_is_refused_at_once(run_job, report, path, said):
    """Too many rows or characters, and tables that are not rectangular, are refused with limit and path."""
    with pytest.raises(InvalidArguments, match=said) as caught:
        await run_job(render, report={"title": "T", **report})
    assert [fault.path for fault in caught.value.fields] == [path]
