"""The threat model: each of its lines names tests, and these exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in row.strip("|").split(" | ")]
    for row in re.findall(r"^\|.*\|$", PAGE.partition("## Threats")[2].partition("\n## ")[0], re.MULTILINE)[2:]
]


def names_in(path: str) -> set[str]:
    """The names of a file's test functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_the_table_is_read():
    """There are lines, of three cells each."""
    assert len(ROWS) > 25
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_threat_is_answered_by_tests_that_exist(row):
    """A line names at least one test, by file and name, and each of them is there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[2])

    assert named
    assert re.sub(r"`tests/[\w/]+\.py::test_\w+`", "", row[2]).strip() == ""
    assert [name for path, name in named if name not in names_in(path)] == []


def test_no_test_of_security_is_forgotten():
    """Whatever `test_security.py`, `test_secrets.py` and the like show of who may do what stands on the page."""
    named = set(re.findall(r"::(test_\w+)", PAGE))
    shown = names_in("tests/integration/api/test_security.py")
    plain = {  # these show what is allowed, or how it is described
        "test_the_request_knows_whose_key_it_is",
        "test_openapi_says_which_scope_an_operation_needs",
        "test_an_open_api_is_called_by_names_of_this_machine",
        "test_with_keys_any_host_is_served",
        "test_programs_and_our_own_pages_can_write",
        "test_hsts_is_sent_over_tls_alone",
        "test_the_docs_are_closed_behind_keys_unless_opened",
        "test_keys_hold_over_a_real_socket",
    }

    assert shown - named - plain == set()


def test_the_names_of_secrets_are_those_of_the_code():
    """What the page says makes a name secret does."""
    from offload.domain.security.secrets import MASK, mask

    said = PAGE.partition("or by its name:")[2].partition("The password in a URL")[0]
    names = re.findall(r"`(\w+)`", said)

    assert len(names) > 10
    assert all(mask({"x" + name: 1}) == {"x" + name: MASK} for name in names)
