"""The guides to the API: every program that they show runs against a real service, and prints what they say."""

import asyncio
import re
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from contract.test_docs import FENCE, TEXTS, as_module, file_of
from integration.api.support import serving, settings_for
from offload.app import create_app
from offload.domain.catalogue import Catalogue, collect
from offload.domain.security import api_keys
from offload.jobs import callback
from offload.settings import get_settings

ADDRESS = "http://127.0.0.1:8000"
RECEIVER = "http://127.0.0.1:9000"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GUIDES = [
    "call-the-api", "enqueue-once", "unique-jobs", "wait-for-a-job", "enqueue-many", "retry-dead-jobs", "pause-a-queue",
]  # fmt: skip
PAGES = ["README.md", *(f"docs/how-to/{guide}.md" for guide in GUIDES)]
INTERPRETERS = {"python": sys.executable, "js": shutil.which("node"), "sh": shutil.which("sh")}


@dataclass
class Program:
    """One program of a page, and what the page says that it prints."""

    language: str
    text: str
    printed: str


def programs(name):
    """The programs of a page, in their order."""
    found = []
    for block in FENCE.finditer(TEXTS[name]):
        mark = block["mark"] or ""
        if mark.startswith("run"):
            found.append(Program(block["language"], block["body"], ""))
        elif mark == "prints":
            found[-1].printed = block["body"]
    return found


def fits(said, shown):
    """Whether an output is the one that a page shows: ids are any, and … stands for anything."""
    any_id = "0" * 32
    said, shown = (re.sub(r"[0-9a-f]{32}", any_id, text).strip() for text in (said, shown))
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), said, re.DOTALL) is not None


async def run(program, directory, address, **env):
    """Run a program at an address of its own; return what it printed, and what it complained of."""
    interpreter = INTERPRETERS[program.language]
    if interpreter is None or (program.language == "sh" and not shutil.which("curl")):
        pytest.skip(f"nothing here runs {program.language}")
    file = directory / f"program.{ {'js': 'mjs'}.get(program.language, program.language) }"
    file.write_text(program.text.replace(ADDRESS, address), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        interpreter, str(file), cwd=directory, env=env or None, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complained = await asyncio.wait_for(process.communicate(), 40)
    return said.decode(), complained.decode()


@pytest.fixture
def stack(bench, redis_server, tmp_path, monkeypatch):
    """An API and a worker that have the jobs of the tutorial and the shipped webhooks."""
    monkeypatch.setenv("OFFLOAD_WEBHOOK_SECRETS", SECRET)  # read by the job that signs
    monkeypatch.setenv("OFFLOAD_ALLOW_PRIVATE_ADDRESSES", "true")
    get_settings.cache_clear()
    get_settings()  # reads `.env`, which a worker does before its loop runs
    hello = as_module(tmp_path, monkeypatch, "hello", file_of("docs/tutorial.md", "hello.py"))
    collected = collect([hello, callback])
    catalogue = Catalogue(collected.functions, collected.queues)  # without its schedules, which would fire meanwhile

    @asynccontextmanager
    async def made(**more):
        settings = settings_for(
            redis_server.url, tmp_path, webhook_secrets=[SECRET], allow_private_addresses=True, **more
        )
        async with bench(catalogue=catalogue) as b, b.worker(), serving(create_app(settings, catalogue)) as address:
            yield address

    yield made
    get_settings.cache_clear()


@pytest.mark.parametrize("name", PAGES)
async def test_the_programs_of_a_guide_print_what_it_says(name, stack, tmp_path):
    """Python, shell and JavaScript of a page run in its order, on one service."""
    shown = programs(name)
    async with stack() as address:
        outputs = [await run(program, tmp_path, address) for program in shown]

    assert shown
    for program, (said, complained) in zip(shown, outputs, strict=True):
        assert fits(said, program.printed), f"{program.text}\nprinted:\n{said}\n{complained}"


async def test_the_guide_to_keys_is_right(stack, tmp_path):
    """A key may do what its scopes say and nothing else, as the guide shows."""
    (program,) = programs("docs/how-to/api-keys.md")
    shop, shop_entry = api_keys.new("shop", ["enqueue"])
    ops, ops_entry = api_keys.new("ops", ["read", "operate"])
    async with stack(api_keys=[shop_entry, ops_entry]) as address:
        said, complained = await run(program, tmp_path, address, SHOP_KEY=shop, OPS_KEY=ops)

    assert fits(said, program.printed), said + complained


async def test_the_receiver_of_callbacks_takes_what_is_signed_and_nothing_else(stack, tmp_path, monkeypatch, capsys):
    """The guide's receiver is told of the end of a job, once, and refuses what somebody else sends."""
    import httpx

    page = "docs/how-to/verify-callbacks.md"
    (program,) = programs(page)
    shown = next(block["body"] for block in FENCE.finditer(TEXTS[page]) if block["mark"] == "receiver prints")
    receiver = as_module(tmp_path, monkeypatch, "receiver", file_of(page, "receiver.py"))
    got = []

    @receiver.app.middleware("http")
    async def keep(request, following):
        got.append((dict(request.headers), await request.body()))
        response = await following(request)
        told.set()
        return response

    told = asyncio.Event()
    async with serving(receiver.app) as hooks, stack() as address, httpx.AsyncClient() as other:
        program.text = program.text.replace(RECEIVER, hooks)
        await run(program, tmp_path, address)
        await asyncio.wait_for(told.wait(), 20)
        ((headers, body),) = got
        url, signed = f"{hooks}/hooks/jobs", {name: headers[name] for name in headers if name.startswith("webhook-")}
        again = await other.post(url, content=body, headers=signed)
        changed = await other.post(url, content=body.replace(b"succeeded", b"dead"), headers=signed)
        unsigned = await other.post(url, content=body)

    assert capsys.readouterr().out.count(shown) == 1
    assert [response.status_code for response in (again, changed, unsigned)] == [204, 400, 400]
