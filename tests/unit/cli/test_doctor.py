"""The doctor's own checks, each on a few lines of source."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

from offload.cli.doctor import checks, command
from offload.cli.doctor.checks import check
from offload.cli.doctor.findings import Finding, is_silenced, merged

HEAD = """
import asyncio
import subprocess
import time
import httpx
import requests
import sqlite3
from hashlib import pbkdf2_hmac
from offload import JobContext, job
import offload

session = requests.Session()
"""


def found(body, head=HEAD):
    """The findings in a module: codes and lines, counted from the first line after the head."""
    source = head + textwrap.dedent(body)
    lines = source.splitlines()
    findings = [one for one in check("x.py", ast.parse(source)) if not is_silenced(one, lines)]
    return [(one.code, one.line - len(head.splitlines())) for one in sorted(findings)]


BLOCKING = """
async def f(ctx, given: sqlite3.Connection):
    requests.get("u")
    session.post("u")
    conn = sqlite3.connect("x")
    conn.execute("…")
    given.commit()
    pbkdf2_hmac("sha256", b"", b"", 1)
    with httpx.Client() as client:
        client.get("u")
    requests.Session().get("u")
    subprocess.run(["x"])
"""


def test_a_call_that_is_known_to_block_is_found():
    """In an async def: by the imports of its file, and by what made a client or a connection."""
    assert found(BLOCKING) == [("OFF101", line) for line in (3, 4, 5, 6, 7, 8, 10, 11, 12)]


FINE = """
async def f(ctx, conn, response: httpx.Response):
    async with httpx.AsyncClient() as client:
        answer = await client.get("u")
    answer.headers.get("x")
    response.headers.get("x")
    session.headers.get("x")
    await asyncio.to_thread(requests.get, "u")
    await ctx.to_thread(lambda: requests.get("u"))
    conn.execute("…")

    def later():
        return requests.get("u")

    return await ctx.to_thread(later)


def g(ctx):
    return requests.get("u")
"""


def test_what_does_not_block_the_loop_is_not():
    """Calls that are awaited, handed to a thread, only data, of no known library, or in a def."""
    assert found(FINE) == []


HELPED = """
def fetch(url):
    return requests.get(url)


def through(url):
    return fetch(url)


async def f(ctx):
    fetch("u")
    await ctx.to_thread(fetch, "u")
    through("u")
"""


def test_a_helper_that_blocks_is_found_where_an_async_def_calls_it():
    """One level deep, with the line that does it."""
    source = HEAD + HELPED
    (one,) = check("x.py", ast.parse(source))

    assert found(HELPED) == [("OFF102", 11)]
    assert one.what.endswith(f"with `requests.get(url)` in line {len(HEAD.splitlines()) + 3}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("@job(timeout=1)\nasync def f(ctx, rows):\n    return sorted(rows)", [("OFF103", 2)]),
        ("@job(timeout=1)\nasync def f(ctx, rows):\n    return [row for row in rows]", [("OFF103", 2)]),
        ("@job(timeout=1)\nasync def f(ctx):\n    ctx.log.info('x')\n    return len('x')", []),
        ("@job(timeout=1)\nasync def f(ctx, rows):\n    async for row in rows:\n        print(row)", []),
        ("async def f(ctx, rows):\n    return sorted(rows)", []),
        ("@offload.job\ndef f(ctx):\n    asyncio.run(g())", [("OFF104", 3)]),
        ("@job\ndef f(ctx):\n    loop = asyncio.new_event_loop()", [("OFF104", 3)]),
        ("def f(ctx):\n    asyncio.run(g())", []),
        ("@job\nasync def f(ctx):\n    await ctx.http.get('u')", [("OFF105", 2)]),
        ("@job\nasync def f(ctx):\n    await ctx.http.get('u', timeout=3)", []),
        ("@job(timeout=3)\nasync def f(ctx):\n    await ctx.http.get('u')", []),
        ("@job\ndef f(ctx):\n    requests.get('u')", [("OFF105", 2)]),
        ("@job\ndef f(ctx):\n    time.sleep(1)", []),
        ("@job(loop_budget_ms=3)\ndef f(ctx): ...", [("OFF106", 2)]),
        ("@job(runs_in='process')\nasync def f(ctx):\n    await g()", [("OFF106", 2)]),
    ],
)
def test_a_job_that_is_declared_amiss_is_found(body, expected):
    """That awaits nothing, starts a loop, has no timeout where it needs one, or an option that it cannot have."""
    assert found(body, HEAD) == expected


@pytest.mark.parametrize(
    ("comment", "is_told"),
    [
        *(("", True), ("# noqa", False), ("# noqa: OFF101", False), ("# noqa: E501, OFF101 - why", False)),
        *(("# noqa: OFF102", True), ("# noqa: ASYNC251", False), ("# noqa: ASYNC109", True), ("# noqa: E501", True)),
    ],
)
def test_a_comment_silences_its_line(comment, is_told):
    """All codes, or those it names; ruff's for blocking calls mean ours as well."""
    assert bool(found(f"async def f(ctx):\n    time.sleep(1)  {comment}")) is is_told


def test_a_comment_silences_a_file():
    """As ruff's does."""
    assert found("async def f(ctx):\n    time.sleep(1)", "# ruff: noqa: ASYNC251\n" + HEAD) == []


def test_what_both_find_is_told_once():
    """By ruff, with our advice, which has the asynchronous counterpart."""
    ours = [Finding("x.py", 3, 5, "OFF101", "…", "use that"), Finding("x.py", 4, 1, "OFF103", "…", "make it a def")]
    ruffs = [Finding("x.py", 3, 5, "ASYNC210", "it blocks", "https://…"), Finding("x.py", 9, 1, "ASYNC110", "…", "u")]

    assert merged(ours, ruffs) == [
        Finding("x.py", 3, 5, "ASYNC210", "it blocks", "use that"),
        ours[1],
        ruffs[1],
    ]


def test_every_code_is_on_the_page():
    """docs/how-to/check-job-code.md has a row for each code that our checks give, and for no other."""
    page = (Path(__file__).parents[3] / "docs/how-to/check-job-code.md").read_text(encoding="utf-8")
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in (checks, command)]
    given = {code for source in sources for code in re.findall(r'"(OFF\d+)"', source)}

    assert set(re.findall(r"^\| `(OFF\d+)` \|", page, re.MULTILINE)) == given
