"""Reports as PDF, with fpdf2, in a process: a title, sections, paragraphs, pictures, and tables over many pages."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from offload import Artifact, JobContext, job
from offload.domain.clock import now_ms
from offload.jobs.image import ImageInput, upright
from offload.jobs.pdf_layout import ACCENT, GREY, REPLACEMENT, SAMPLED_ROWS, Grid, Paper, typeface_for

MOST_ROWS = 20_000
MOST_CHARACTERS = 3_000_000
MOST_COLUMNS = 20
IMAGE_SIDE = 1600
BODY_SIZE, BODY_LINE = 10.0, 5.2
MM_PER_PIXEL = 25.4 / 96

Value = str | int | float | bool | None
Text = Annotated[str, Field(max_length=100_000)]
Short = Annotated[str, Field(max_length=500)]


class Table(BaseModel):
    """A table; numbers are right-aligned. `widths` are shares, such as [2, 1, 1]; by default they fit the content."""

    model_config = ConfigDict(extra="forbid")

    columns: Annotated[list[Short], Field(min_length=1, max_length=MOST_COLUMNS)]
    rows: list[list[Value]]
    widths: list[Annotated[float, Field(gt=0, le=1000)]] | None = None

    @model_validator(mode="after")
    def _is_rectangular(self) -> Self:
        wanted = len(self.columns)
        if self.widths is not None and len(self.widths) != wanted:
            msg = f"{len(self.widths)} widths for {wanted} columns"
            raise ValueError(msg)
        for index, row in enumerate(self.rows):
            if len(row) != wanted:
                msg = f"row {index} has {len(row)} cells for {wanted} columns"
                raise ValueError(msg)
        return self


class Section(BaseModel):
    """A part of a report: optional heading, paragraphs, picture and table, in this order."""

    model_config = ConfigDict(extra="forbid")

    heading: Short | None = None
    paragraphs: Annotated[list[Text], Field(max_length=1000)] = []
    image: ImageInput | None = None
    table: Table | None = None


class Report(BaseModel):
    """A report: at most 20,000 table rows and 3 million characters."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=300)]
    subtitle: Short | None = None
    author: Short | None = None
    sections: Annotated[list[Section], Field(max_length=500)] = []

    @model_validator(mode="after")
    def _is_not_too_much(self) -> Self:
        rows = sum(len(section.table.rows) for section in self.sections if section.table)
        if rows > MOST_ROWS:
            msg = f"the tables have {rows:,} rows; the limit of a report is {MOST_ROWS:,}, so make several"
            raise ValueError(msg)
        characters = sum(map(len, texts(self)))
        if characters > MOST_CHARACTERS:
            msg = f"the report has {characters:,} characters; the limit is {MOST_CHARACTERS:,}, so make several"
            raise ValueError(msg)
        return self


def texts(report: Report) -> Iterable[str]:
    """Yield every text of the report."""
    yield from filter(None, (report.title, report.subtitle, report.author))
    for section in report.sections:
        yield section.heading or ""
        yield from section.paragraphs
        if section.table:
            yield from section.table.columns
            for row in section.table.rows:
                yield from map(shown, row)


def shown(value: Value) -> str:
    """Format a cell's value."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.2f}"
        case int():
            return f"{value:,}"
    return value


@job(runs_in="process", timeout=60, max_tries=3, keep_result=86400)
def render(ctx: JobContext, report: Report) -> Artifact:
    """Render a report as PDF, A4, and return it as an artifact.

    A table that goes over pages shows its header on each; a long cell wraps, over pages if it must. Text beyond
    Western European letters is set in a font of the system (DejaVu, Noto, Liberation); a character that no font has is
    replaced by `?`, and the report's last line says how many were.
    """
    printer = _Printer(ctx, report)
    printer.print_title()
    for section in report.sections:
        printer.print_section(section)
    printer.print_note()
    content = bytes(printer.paper.output())
    ctx.progress(1.0, f"{printer.paper.pages_count} pages")
    stem = re.sub(r"[^A-Za-z0-9]+", "-", report.title).strip("-").lower()[:80] or "report"
    return ctx.artifact(f"{stem}.pdf", content, "application/pdf")


class _Printer:
    """Prints one report from top to bottom and reports progress."""

    def __init__(self, ctx: JobContext, report: Report) -> None:
        self.paper = Paper(typeface_for(set().union(*texts(report))))
        self._ctx = ctx
        self._report = report
        self._done, self._told = 0, 0.0
        self._all = 1 + sum(1 + len(s.paragraphs) + (len(s.table.rows) if s.table else 0) for s in report.sections)
        self.paper.running_title = self.paper.fit(report.title)
        self.paper.set_title(report.title)
        self.paper.set_creator("Offload")
        if report.author:
            self.paper.set_author(report.author)

    def print_title(self) -> None:
        """Print title, subtitle and a line with author and date."""
        paper, report = self.paper, self._report
        paper.add_page()
        paper.set_fill_color(*ACCENT)
        paper.rect(paper.l_margin, paper.get_y(), 24, 1.4, style="F")
        paper.set_y(paper.get_y() + 5)
        paper.face(22, bold=True)
        paper.write_block(report.title, 9.5)
        if report.subtitle:
            paper.face(12, colour=GREY)
            paper.write_block(report.subtitle, 6.5)
        today = datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%d %B %Y")
        paper.face(9, colour=GREY)
        paper.write_block(" · ".join(filter(None, (report.author, today))), 6)
        paper.rule(paper.get_y() + 2)
        paper.set_y(paper.get_y() + 7)
        self._step()

    def print_section(self, section: Section) -> None:
        """Print one section."""
        if section.heading:
            self._print_heading(section.heading)
        self._step()
        for paragraph in section.paragraphs:
            self.paper.face(BODY_SIZE)
            self.paper.write_block(paragraph, BODY_LINE)
            self.paper.ln(2)
            self._step()
        if section.image:
            self._print_image(section.image)
        if section.table:
            self._print_table(section.table)

    def print_note(self) -> None:
        """State at the end how many characters were replaced, if any."""
        if replaced := self.paper.replaced:
            self.paper.ln(3)
            self.paper.face(8, colour=GREY)
            note = f"Characters missing in all available fonts, replaced by '{REPLACEMENT}': {replaced:,}."
            self.paper.write_block(note, 4)
            self._ctx.log.warning("pdf_characters_replaced", count=replaced, font=self.paper.typeface.family)

    def _print_heading(self, heading: str) -> None:
        if self.paper.will_page_break(30):
            self.paper.add_page()
        self.paper.start_section(self.paper.fit(heading))
        self.paper.face(14, bold=True, colour=ACCENT)
        self.paper.write_block(heading, 7)
        self.paper.ln(1.5)

    def _print_image(self, image: ImageInput) -> None:
        _, data = image.read(self._ctx)
        picture = upright(data, longest_side=IMAGE_SIDE)
        paper = self.paper
        scale = min(paper.epw / picture.width, paper.eph * 0.6 / picture.height, MM_PER_PIXEL)
        if paper.will_page_break(picture.height * scale):
            paper.add_page()
        paper.image(picture, w=picture.width * scale, h=picture.height * scale)
        paper.ln(4)

    def _print_table(self, table: Table) -> None:
        numeric = [column for column in range(len(table.columns)) if _is_numeric(table, column)]
        rows = [[shown(value) for value in row] for row in table.rows]
        Grid(self.paper, table.columns, rows, table.widths, numeric).print(self._step)
        self.paper.ln(5)

    def _step(self) -> None:
        """Count one unit of work; report progress at each hundredth, and stop if the job is aborted."""
        self._done += 1
        fraction = min(0.99, self._done / (self._all + 1))
        if fraction - self._told >= 0.01:
            self._told = fraction
            self._ctx.raise_if_aborted()
            self._ctx.progress(fraction, f"page {self.paper.page_no()}")


def _is_numeric(table: Table, column: int) -> bool:
    values = [row[column] for row in table.rows[:SAMPLED_ROWS] if row[column] not in (None, "")]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
