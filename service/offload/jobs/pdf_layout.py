"""The layout of reports: pages with header and number, typefaces for most scripts, tables over many pages.

No job functions here; `jobs.pdf` says what is printed, this says how.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fpdf import FPDF, XPos, YPos
from fpdf.fonts import TTFFont

SAMPLED_ROWS = 300
REPLACEMENT = "?"

MARGIN, PAD = 18.0, 2.2
TABLE_SIZE, TABLE_LINE = 8.5, 4.1
Colour = tuple[int, int, int]
INK, GREY, ACCENT, PAPER = (33, 37, 41), (108, 117, 125), (37, 84, 158), (255, 255, 255)
ZEBRA, RULE = (243, 246, 250), (210, 216, 224)

# Usual places of fonts with most of the world's scripts; fpdf2's own have Western European letters only.
_DEJAVU = [
    (f"{folder}/DejaVuSans.ttf", f"{folder}/DejaVuSans-Bold.ttf")
    for folder in (
        "/usr/share/fonts/truetype/dejavu",
        "/usr/share/fonts/dejavu-sans-fonts",
        "/usr/share/fonts/dejavu",
        "/usr/share/fonts/TTF",
    )
]
_OTHERS = [
    ("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf", "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf"),
    ("/usr/share/fonts/noto/NotoSans-Regular.ttf", "/usr/share/fonts/noto/NotoSans-Bold.ttf"),
    (
        "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
        "/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf",
    ),
    ("/System/Library/Fonts/Supplemental/Arial Unicode.ttf", "/System/Library/Fonts/Supplemental/Arial Bold.ttf"),
]
SYSTEM_FONTS = tuple((Path(regular), Path(bold)) for regular, bold in (*_DEJAVU, *_OTHERS))


class Typeface(NamedTuple):
    """A font family with its characters, and its files if it must be embedded."""

    family: str
    has: Callable[[str], bool]
    files: tuple[Path, Path] | None = None


def typeface_for(characters: Iterable[str], fonts: Sequence[tuple[Path, Path]] = SYSTEM_FONTS) -> Typeface:
    """Return Helvetica (in every PDF reader) if it has all characters, else the system font that lacks the fewest."""
    western = Typeface("Helvetica", is_western)
    needed = {character for character in characters if not is_western(character) and not is_blank(character)}
    if not needed:
        return western
    found = [(files, _characters_of(files[0])) for files in fonts if _exist(files)]
    if not found:
        return western
    files, known = min(found, key=lambda font: sum(ord(character) not in font[1] for character in needed))
    return Typeface("Report", lambda character: ord(character) in known, files)


def _exist(files: tuple[Path, Path]) -> bool:
    return all(file.is_file() for file in files)


def _characters_of(file: Path) -> frozenset[int]:
    probe = FPDF()
    probe.add_font("probe", fname=file)
    font = probe.fonts["probe"]
    if not isinstance(font, TTFFont):
        return frozenset()
    font.close()
    return frozenset(font.cmap)


def is_western(character: str) -> bool:
    """Return true if the built-in fonts have the character (Windows-1252)."""
    try:
        return character.isprintable() and bool(character.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def is_blank(character: str) -> bool:
    """Return true if the character is invisible: spaces, controls, joiners, variation selectors."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"


class Paper(FPDF):
    """A4 pages with the report's title above (from the second on) and the page number below."""

    def __init__(self, typeface: Typeface) -> None:
        super().__init__(format="A4")
        self.typeface = typeface
        self.running_title = ""
        self.replaced = 0
        self.core_fonts_encoding = "cp1252"
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(auto=True, margin=MARGIN)
        self.c_margin = 0.0
        self.alias_nb_pages()
        if typeface.files:
            self.add_font(typeface.family, "", typeface.files[0])
            self.add_font(typeface.family, "B", typeface.files[1])

    def header(self) -> None:
        """Repeat the title in small on every page but the first."""
        if self.page_no() > 1:
            self.face(8, colour=GREY)
            self.cell(0, 4, self.running_title[:110], new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.rule(self.get_y() + 1)
            self.set_y(self.get_y() + 5)

    def footer(self) -> None:
        """Print `Page n of N`."""
        self.set_y(-14)
        self.face(8, colour=GREY)
        self.cell(0, 5, f"Page {self.page_no()} of {{nb}}", align="C")

    def face(self, size: float, *, bold: bool = False, colour: Colour = INK) -> None:
        """Set font and colour."""
        self.set_font(self.typeface.family, "B" if bold else "", size)
        self.set_text_color(*colour)

    def rule(self, y: float) -> None:
        """Draw a thin line across the page."""
        self.set_draw_color(*RULE)
        self.line(self.l_margin, y, self.w - self.r_margin, y)

    def write_block(self, text: str, line_height: float) -> None:
        """Write a text over the whole width, wrapped, and go to the next line."""
        self.multi_cell(0, line_height, self.fit(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def fit(self, text: str) -> str:
        """Return the text in characters that the font has; others become `?` and are counted in `replaced`."""
        text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\t", "    ")
        has = self.typeface.has
        if all(map(has, text)):
            return text
        fitted: list[str] = []
        for character in text:
            if character == "\n" or has(character):
                fitted.append(character)
            elif character.isspace():
                fitted.append(" ")
            elif not is_blank(character):
                fitted.append(REPLACEMENT)
                self.replaced += 1
        return "".join(fitted)


class Grid:
    """Prints one table: columns fitted to their content, its header on each page, every other row tinted.

    fpdf2's own tables keep every cell as an object and refuse a row that is higher than a page. `weights` are the
    columns' shares of the width; `numeric` are the right-aligned ones.
    """

    def __init__(
        self,
        paper: Paper,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        weights: Sequence[float] | None,
        numeric: Iterable[int],
    ) -> None:
        self._paper = paper
        self._rows = rows
        self._header = [paper.fit(column) for column in columns]
        self._character_widths: dict[bool, dict[str, float]] = {False: {}, True: {}}
        self._widths = self._shares(weights) if weights else self._fitted()
        right = frozenset(numeric)
        self._aligns = ["R" if column in right else "L" for column in range(len(columns))]

    def print(self, step: Callable[[], None]) -> None:
        """Print header and rows; `step` is called after each row."""
        if self._paper.will_page_break(3 * TABLE_LINE + 4 * PAD):
            self._paper.add_page()
        self._print_header()
        for index, row in enumerate(self._rows):
            cells = [self._wrapped(self._paper.fit(text), column) for column, text in enumerate(row)]
            self._print_row(cells, tinted=bool(index % 2))
            step()

    def _print_header(self) -> None:
        cells = [self._wrapped(text, column, bold=True)[:6] for column, text in enumerate(self._header)]
        self._paper.face(TABLE_SIZE, bold=True, colour=PAPER)
        self._draw(cells, fill=ACCENT)
        self._paper.face(TABLE_SIZE)

    def _print_row(self, cells: list[list[str]], *, tinted: bool) -> None:
        """Print a row on one page if it fits; split a higher one over pages."""
        while any(cells):
            room, wanted = self._room(), max(map(len, cells))
            if wanted > room and (wanted <= self._room_on_a_page() or room < 3):
                self._paper.add_page()
                self._print_header()
                room = max(1, self._room())
            self._paper.face(TABLE_SIZE)
            self._draw([lines[:room] for lines in cells], fill=ZEBRA if tinted else None)
            cells = [lines[room:] for lines in cells]

    def _room(self) -> int:
        return int((self._paper.page_break_trigger - self._paper.get_y() - 2 * PAD) / TABLE_LINE)

    def _room_on_a_page(self) -> int:
        return int((self._paper.eph - 30) / TABLE_LINE)

    def _draw(self, cells: list[list[str]], *, fill: Colour | None) -> None:
        paper, top, left = self._paper, self._paper.get_y(), self._paper.l_margin
        height = max(1, *map(len, cells)) * TABLE_LINE + 2 * PAD
        if fill:
            paper.set_fill_color(*fill)
            paper.rect(left, top, paper.epw, height, style="F")
        for lines, width, align in zip(cells, self._widths, self._aligns, strict=True):
            for number, line in enumerate(lines):
                paper.set_xy(left + PAD, top + PAD + number * TABLE_LINE)
                paper.cell(width - 2 * PAD, TABLE_LINE, line, align=align)
            left += width
        paper.set_xy(paper.l_margin, top + height)

    def _wrapped(self, text: str, column: int, *, bold: bool = False) -> list[str]:
        """Break a text into lines that fit a column: between words, or within one that is too long."""
        room = self._widths[column] - 2 * PAD - 0.2
        return [line for part in text.split("\n") for line in self._broken(part, room, bold=bold)]

    def _broken(self, text: str, room: float, *, bold: bool) -> list[str]:
        lines, line, used = [], "", 0.0
        for word in re.findall(r"\S+\s*|\s+", text):
            width = self._width(word.rstrip(), bold=bold)
            if used + width > room and line:
                lines.append(line.rstrip())
                line, used = "", 0.0
            *whole, rest = self._cut(word, room, bold=bold) if width > room else [word]
            lines += whole
            line += rest
            used += self._width(rest, bold=bold)
        return [*lines, line.rstrip()]

    def _cut(self, word: str, room: float, *, bold: bool) -> list[str]:
        pieces, start, used = [], 0, 0.0
        for index, character in enumerate(word):
            width = self._width(character, bold=bold)
            if used + width > room and index > start:
                pieces.append(word[start:index])
                start, used = index, 0.0
            used += width
        return [*pieces, word[start:]]

    def _width(self, text: str, *, bold: bool) -> float:
        """Return the width in mm; fpdf2 applies no kerning, so it is the sum of the characters' widths."""
        known = self._character_widths[bold]
        new = set(text).difference(known)
        if new:
            self._paper.face(TABLE_SIZE, bold=bold)
            known.update((character, self._paper.get_string_width(character)) for character in new)
        return sum(map(known.__getitem__, text))

    def _shares(self, weights: Sequence[float]) -> list[float]:
        return [self._paper.epw * weight / sum(weights) for weight in weights]

    def _fitted(self) -> list[float]:
        """Share the page among the columns by their widest content."""
        wanted = []
        for column, header in enumerate(self._header):
            sample = [self._paper.fit(row[column])[:200] for row in self._rows[:SAMPLED_ROWS]]
            widest = max((self._width(part, bold=False) for text in sample for part in text.split("\n")), default=0.0)
            wanted.append(max(widest, self._width(header, bold=True)) + 2 * PAD + 1)
        if sum(wanted) <= self._paper.epw:
            return self._shares(wanted)
        least = min(12.0, self._paper.epw / len(wanted))
        spare = self._paper.epw - least * len(wanted)
        # The square root keeps one very long column from starving the others.
        weights = [max(0.0, width - least) ** 0.5 for width in wanted]
        return [least + spare * weight / sum(weights) for weight in weights]
