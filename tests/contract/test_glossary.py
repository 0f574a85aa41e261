"""One word for one thing: the words that the glossary rules out are in no page, help text, message or docstring."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = [ROOT / "README.md", CHANGELOG, *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(path for room in ("service", "jobs") for path in (ROOT / room).rglob("*.py"))
SCRIPTS = sorted((ROOT / "service").rglob("*.lua"))
GLOSSARY = ROOT / "docs" / "glossary.md"


def forbidden():
    """The patterns of the glossary's table of words that are not used, each with what to say instead."""
    table = GLOSSARY.read_text().partition("## Words that are not used")[2]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|$", table, re.MULTILINE)
    return {
        re.compile("|".join(map(compiled, re.findall(r"`([^`]+)`", patterns))), re.IGNORECASE): better.strip()
        for patterns, better in rows
    }


def compiled(pattern):
    """A pattern of the table as a regular expression: whole words, over the ends of lines too."""
    return r"\b(?:" + pattern.replace(" ", r"\s+") + r")\b"


def texts(path):
    """The text of a page, or all that a module says: docstrings, messages, help; with the line where each begins."""
    if path.suffix != ".py":
        page = path.read_text()
        if path == GLOSSARY:
            page = page.partition("## Words that are not used")[0]
        if path == CHANGELOG:  # its tables list what was renamed: old names, then new ones
            page = re.sub(r"^\|.*$", "", page, flags=re.MULTILINE)
        return [(1, page)]
    strings = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return [(node.lineno, node.value) for node in strings if isinstance(node.value, str) and " " in node.value]


def matches(text, words):
    """Each use of forbidden words in a text: the number of lines before it, and the text around it."""
    for match in words.finditer(text):
        around = text[max(0, match.start() - 30) : match.end() + 30]
        yield text.count("\n", 0, match.start()), re.sub(r"\s+", " ", around)


RULES = forbidden()


@pytest.mark.parametrize("paths", [PAGES, MODULES, SCRIPTS], ids=["pages", "modules", "scripts"])
def test_no_forbidden_word_is_used(paths):
    """Pages, help, messages, docstrings and scripts keep to the glossary."""
    used = [
        f"{path.relative_to(ROOT)}:{line + more}: …{around}… — say: {better}"
        for path in paths
        for line, text in texts(path)
        for words, better in RULES.items()
        for more, around in matches(text, words)
    ]

    assert not used, "\n".join(used)


def test_the_glossary_forbids_something():
    """The table is found, and its patterns match what they forbid."""
    assert len(RULES) > 8
    assert list(matches("a job is put\nin again", re.compile(compiled("put in"))))
    assert not list(matches("the input in it", re.compile(compiled("put in"))))
