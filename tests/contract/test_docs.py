"""The documentation against the code: what it names exists, what it shows runs."""

import ast
import asyncio
import hashlib
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from offload import settings
from offload.domain.catalogue import collect

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"(?:<!-- (?P<mark>[^>\n]+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)```", re.DOTALL)


def blocks(name: str, language: str) -> list[tuple[str, str]]:
    """The `(mark, body)` of a page's blocks in a language; the mark is a comment on the line before."""
    return [(m["mark"] or "", m["body"]) for m in FENCE.finditer(TEXTS[name]) if m["language"] == language]


def code_of(name: str) -> str:
    """All that stands in code marks on a page: blocks and words."""
    text = TEXTS[name]
    return "\n".join([m["body"] for m in FENCE.finditer(text)] + re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))


def file_of(name: str, file: str) -> str:
    """The content of a file that a page builds up, its continued parts included; imports go to the top."""
    parts = [body for mark, body in blocks(name, "python") if mark.removesuffix(", continued") == f"file: {file}"]
    return "\n\n".join(parts)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# What is named exists.


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    """Every relative link of a page leads to a file, and its anchor to a heading of it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[name])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        if not page.exists() or (anchor and anchor not in anchors(page.read_text(encoding="utf-8"))):
            broken.append(target)

    assert broken == []


def test_every_page_is_linked_from_the_index():
    """Whoever starts at docs/index.md finds every page."""
    linked = {
        (ROOT / "docs" / t.partition("#")[0]).resolve() for t in re.findall(r"\]\(([^)\s]+)\)", TEXTS["docs/index.md"])
    }

    assert {page for page in PAGES if page.name not in ("README.md", "index.md")} <= linked


@pytest.mark.parametrize("name", TEXTS)
def test_only_real_settings_are_named(name):
    """Every OFFLOAD_ variable that a page names is one that is read."""
    known = {settings.variable_of(field) for field in settings.Settings.model_fields}
    known |= {settings.variable_of(field) + "_FILE" for field in settings.SECRETS}

    assert set(re.findall(r"\bOFFLOAD_[A-Z_]*[A-Z]\b(?!<)", TEXTS[name])) <= known


@pytest.mark.parametrize("name", TEXTS)
def test_only_real_commands_are_named(name):
    """Every `make` target and every `offload` command in code exists."""
    from typer.main import get_command

    from offload.cli.main import app

    root: Any = get_command(app)
    commands = {n: set(getattr(c, "commands", {})) for n, c in root.commands.items()}
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = code_of(name)
    made = set(re.findall(r"(?:^|[\s;&|])make ([a-z][a-z-]*)", code, re.MULTILINE)) - {"sure"}
    typed = re.findall(r"(?:^|[\s(;/])(?<!from )offload (?!import)([a-z]+)(?: ([a-z]+))?", code, re.MULTILINE)

    assert made <= targets
    for command, inner in typed:
        assert command in commands, f"offload {command}"
        assert not commands[command] or inner in commands[command], f"offload {command} {inner}"


def test_the_job_of_the_readme_is_there():
    """`jobs/hello.py` of this clone is what the README shows."""
    assert (ROOT / "jobs" / "hello.py").read_text() == file_of("README.md", "hello.py")


def test_this_clone_serves_all_shipped_functions():
    """`jobs/shipped.py` has every job function and queue of `offload.jobs`."""
    import jobs.shipped

    from offload.loader import load

    ours, theirs = collect([jobs.shipped]), load(["offload.jobs"])

    assert set(ours.functions) == set(theirs.functions) - {"webhook.callback"}
    assert ours.queues == theirs.queues


def test_the_reference_pages_are_current():
    """docs/reference/cli.md, jobs.md and sdk.md are what `python docs/reference/generate.py` writes."""
    namespace: dict[str, Any] = {"__file__": str(ROOT / "docs/reference/generate.py"), "__name__": "generate"}
    exec(compile((ROOT / "docs/reference/generate.py").read_text(), "generate.py", "exec"), namespace)

    advice = "run: python docs/reference/generate.py"
    assert TEXTS["docs/reference/cli.md"] == namespace["cli"](), advice
    assert TEXTS["docs/reference/sdk.md"] == namespace["sdk"](), advice
    assert TEXTS["docs/reference/jobs.md"] == namespace["jobs"](namespace["load"](["offload.jobs"])), advice


def test_every_key_is_in_the_architecture():
    """The table of keys has every prefix of `service/offload/store/keys.py`, and no other of ours."""
    from offload.store import keys

    section = TEXTS["docs/architecture.md"].partition("## Keys in Redis")[2].partition("\n## ")[0]
    named = {
        re.sub(r"<.*", "", key)
        for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for key in re.findall(r"`([^`]+)`", row)
    }
    real = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}

    assert named - {"arq:queue", "arq:queue:"} == real - {keys.DEFAULT_QUEUE}


# The log.

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT = re.compile(r"[a-z]+(_[a-z]+)+|request")


def events_of(tree: ast.Module) -> set[str]:
    """The event names that a module logs: first arguments of calls on a logger, and tables of names it picks from."""
    tables = {
        target.id: [v.value for v in node.value.values if isinstance(v, ast.Constant)]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        on_log = (
            isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS and "log" in ast.unparse(call.func.value)
        )
        by_name = isinstance(call.func, ast.Name) and call.func.id == "write"
        if not (on_log or by_name):
            continue
        for part in ast.walk(call.args[0]):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value)
            elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name):
                found |= set(tables.get(part.value.id, ()))
    return {name for name in found if EVENT.fullmatch(name)}


def test_the_log_events_are_those_of_the_code():
    """The table of events in operations.md names every event that is logged, and no other."""
    section = TEXTS["docs/operations.md"].partition("## Log events")[2].partition("\n## ")[0]
    named = {
        event
        for cell in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for event in re.findall(r"`(\w+)`", cell)
    }
    logged: set[str] = set()
    for package in ("service", "jobs"):
        for module in (ROOT / package).rglob("*.py"):
            logged |= events_of(ast.parse(module.read_text(encoding="utf-8")))

    assert named == logged


# What is shown runs.


@pytest.mark.parametrize("name", [name for name in TEXTS if blocks(name, "python")])
def test_python_on_a_page_compiles(name):
    """Every Python block is Python."""
    for number, (_, body) in enumerate(blocks(name, "python"), 1):
        compile(body, f"{name}, block {number}", "exec")


def as_module(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Any:
    """Write a module and import it, anew."""
    (directory / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module(name)


async def test_the_job_of_the_readme_runs(bench, tmp_path, monkeypatch):
    """The README's first job is enqueued and run by a real worker."""
    hello = as_module(tmp_path, monkeypatch, "hello", file_of("README.md", "hello.py"))
    async with bench(catalogue=collect([hello])) as b, b.worker():
        record = await b.run("hello.greet", name="Ada")

    assert record.result == b'{"text":"Hello, Ada!","attempt":1}'
    assert record.result.decode() in TEXTS["README.md"]


async def test_the_client_beside_redis_works(bench, tmp_path, monkeypatch):
    """The guide's client enqueues a job without HTTP, from a program of its own, and is told its result."""
    hello = as_module(tmp_path, monkeypatch, "hello", file_of("README.md", "hello.py"))
    client = next(body for mark, body in blocks("docs/how-to/call-the-api.md", "python") if mark == "compile only")
    (tmp_path / "client.py").write_text(client + "\n\nimport asyncio\n\nasyncio.run(main())\n", encoding="utf-8")
    async with bench(catalogue=collect([hello])) as b, b.worker():
        env = settings.child_environment({"redis_url": b.url, "jobs": ["hello"]})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "client.py", cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, complained = await asyncio.wait_for(process.communicate(), 30)

    assert (process.returncode, said.decode()) == (0, 'succeeded b\'{"text":"Hello, Ada!","attempt":1}\'\n'), complained


async def test_the_jobs_of_the_tutorial_run(bench, tmp_path, monkeypatch):
    """What the tutorial builds up runs: on the loop, in a process, on a limited queue; failing, and on a schedule."""
    hello = as_module(tmp_path, monkeypatch, "hello", file_of("docs/tutorial.md", "hello.py"))
    catalogue = collect([hello])
    async with bench(catalogue=catalogue) as b, b.worker():
        greeted = await b.run("hello.greet", name="Ada")
        dead = await b.run("hello.greet", name="nobody")
        counted = await b.run("hello.count_primes", below=1000)
        printed = await b.run("hello.print_page", page=1)

    assert greeted.result == b'{"text":"Hello, Ada!","attempt":1}'
    assert (dead.status.value, dead.attempt, dead.error.message) == ("dead", 3, "there is nobody to greet")
    assert (counted.result, printed.result) == (b"168", b"1")
    assert catalogue.queue("printer").max_running == 1
    assert set(catalogue.schedules) == {"good morning", "often"}


async def test_the_web_application_of_where_should_this_run_works(tmp_path, monkeypatch):
    """A background task is done when the answer is there; a blocking call in a thread gives the answer its result."""
    web = as_module(tmp_path, monkeypatch, "web", file_of("docs/where-should-this-run.md", "web.py"))
    transport = httpx.ASGITransport(web.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        shown = await client.get("/pages/home")
        derived = await client.post("/fingerprint", content=b"secret")

    assert (shown.json(), web.visits) == ({"page": "home"}, {"home": 1})
    assert derived.json()["digest"] == hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 200_000).hex()


async def test_the_jobs_of_where_should_this_run_work(bench, tmp_path, monkeypatch):
    """The thread job, the process job, and the async job with its step in a process run on a real worker."""
    slow = as_module(tmp_path, monkeypatch, "slow", file_of("docs/where-should-this-run.md", "slow.py"))
    catalogue = collect([slow])

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n12 pages!")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, bench(catalogue=catalogue) as b, b.worker():
        port = server.sockets[0].getsockname()[1]
        results = [
            (await b.run("slow.ask_mainframe", question="why")).result,
            (await b.run("slow.count_primes", below=1000)).result,
            (await b.run("slow.fetch", url=f"http://127.0.0.1:{port}/")).result,
        ]

    assert results == [b'"WHY"', b"168", b"5"]
    assert [catalogue.function(f"slow.{name}").runs_in for name in ("ask_mainframe", "count_primes", "fetch")] == [
        "thread", "process", "loop",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file"), [("docs/how-to/call-an-llm.md", "models"), ("docs/how-to/abort-a-job.md", "rows")]
)
def test_the_jobs_of_the_guides_can_be_loaded(name, file, tmp_path, monkeypatch):
    """A guide's job functions are accepted as they stand."""
    module = as_module(tmp_path, monkeypatch, file, file_of(name, f"{file}.py"))

    assert [one.partition(".")[0] for one in collect([module]).functions] == [file]


def test_the_tests_that_a_guide_shows_pass(tmp_path):
    """The tests of `test-a-job.md` pass in a project that has the tutorial's job."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    (tmp_path / "jobs" / "hello.py").write_text(file_of("README.md", "hello.py"), encoding="utf-8")
    for file in ("test_greet_alone.py", "test_greet_holds_no_loop.py", "test_greet_for_real.py"):
        (tmp_path / file).write_text(file_of("docs/how-to/test-a-job.md", file), encoding="utf-8")
    env = settings.child_environment() | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-o",
            "asyncio_mode=auto",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert "4 passed" in done.stdout, done.stdout + done.stderr


async def test_a_stock_producer_that_speaks_json_is_served(bench, tmp_path, monkeypatch):
    """The producer of `share-redis-with-arq.md`, which is arq's own, gets the result of a job that Offload ran."""
    hello = as_module(tmp_path, monkeypatch, "hello", file_of("README.md", "hello.py"))
    producer = next(body for _, body in blocks("docs/how-to/share-redis-with-arq.md", "python"))
    async with bench(catalogue=collect([hello])) as b, b.worker():
        text = producer.replace("redis://127.0.0.1:6379/0", b.url) + "\n\nimport asyncio\n\nasyncio.run(main())\n"
        (tmp_path / "producer.py").write_text(text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "producer.py", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, complained = await asyncio.wait_for(process.communicate(), 30)

    assert said.decode() == "{'text': 'Hello, Ada!', 'attempt': 1}\n", complained


# What does not belong here.


@pytest.mark.parametrize("name", TEXTS)
def test_no_page_shows_the_machine_it_was_written_on(name):
    """Documentation has no paths or names of a particular machine."""
    assert re.findall(r"/(?:work|root|home|Users)/\S*|/tmp/\S+|\bvm-\d+\S*|site-packages", TEXTS[name]) == []


def test_the_readme_is_short():
    """The README can be read at one sitting."""
    assert len(TEXTS["README.md"].splitlines()) <= 150
