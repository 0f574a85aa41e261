"""The jobs of the demo, with their input and the checks of their results."""

import asyncio
import base64
import hashlib
import io
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from PIL import Image

from offload.cli.demo import checks, material
from offload.cli.demo.caller import Caller
from offload.cli.demo.inbox import Inbox
from offload.cli.demo.runs import Run
from offload.domain.clock import now_ms, rfc3339

SUBJECT = "The packages of this machine"
RECIPIENT = "you@example.com"
SIZES = [1600, 800, 320, 96]
ITERATIONS = 600_000
LLM_AT_ONCE = 2
PROMPT = "Explain in one sentence why slow work belongs in a queue, not in the event loop of a web server."
_PASSWORD = "correct horse battery staple"  # noqa: S105 - it must come back masked
_SALT = "offload-demo"
_LONG = 60.0
_TICK_PAUSE = 0.1

Check = Callable[[], Awaitable[str]]


class Wrong(Exception):
    """The outcome of a job is not as expected; each argument is one problem."""


class Scenario:
    """Runs all jobs at the same time. `files` has the files they made, by name."""

    def __init__(self, caller: Caller, url: str, inbox: Inbox, photo: bytes, changed: Callable[[Run], None]) -> None:
        self.files: dict[str, bytes] = {"photo.jpg": photo}
        self._caller = caller
        self._url = url
        self._inbox = inbox
        self._changed = changed
        self._photo = photo
        self._started = rfc3339(now_ms()) or ""
        self._pdf_is_done = asyncio.Event()
        self._pdf = Run("report of the installed packages", "pdf.render")
        self._llm = [Run(f"language model, prompt {n}", "llm.complete") for n in (1, 2, 3)]
        self._steps: list[tuple[Run, Callable[[Run], Awaitable[str]]]] = [
            (self._pdf, self._render),
            (Run("thumbnails of a 24-megapixel picture", "image.thumbnails"), self._thumbnails),
            (Run("the same report by e-mail", "mail.send"), self._mail),
            (Run("fetch of the service's OpenAPI document", "http.request"), self._fetch),
            *((run, self._complete) for run in self._llm),
            (Run("password digest", "digest.pbkdf2"), self._digest),
            (Run("fails twice, then succeeds", "demo.flaky"), self._flaky),
            (Run("aborted while it runs", "demo.sleep", expects="aborted"), self._sleep),
            (Run("a schedule that fires every second", "demo.tick"), self._tick),
        ]
        self.runs = [run for run, _ in self._steps]

    async def play(self) -> None:
        """Run all jobs at the same time and check each; problems are added to the runs."""
        async with asyncio.TaskGroup() as group:
            for run, step in self._steps:
                group.create_task(self._play_one(run, step))
        if (at_once := checks.most_at_once([span for run in self._llm for span in run.attempts()])) > LLM_AT_ONCE:
            self._llm[-1].problems.append(
                f"{at_once} jobs of queue llm ran at the same time; the limit is {LLM_AT_ONCE}"
            )

    async def _play_one(self, run: Run, step: Callable[[Run], Awaitable[str]]) -> None:
        try:
            run.gave = await step(run)
        except Wrong as wrong:
            run.problems += wrong.args
        except (httpx.HTTPError, RuntimeError, LookupError, TypeError, ValueError, OSError) as error:
            run.problems.append(f"{type(error).__name__}: {error}")
        run.is_checked = True
        self._changed(run)

    # Each step returns a short summary of the result, or raises Wrong.

    async def _run(self, run: Run, arguments: dict[str, Any], on_event: Callable[[str], Any] | None = None) -> Any:
        """Run a job to its end and return its result; raises Wrong if its final status is not the expected one."""
        await self._caller.run(run, arguments, on_event)
        _expect_end(run)
        return run.result

    async def _render(self, run: Run) -> str:
        try:
            about = await self._run(run, await asyncio.to_thread(material.report))
            content = await self._keep(about)
        finally:
            self._pdf_is_done.set()
        names = [one.name for one in material.packages()]
        _raise_if(await asyncio.to_thread(checks.pdf, content, names))
        return f"{about['name']}: {checks.pdf_pages(content)} pages, {len(names)} packages, {_size(content)}"

    async def _thumbnails(self, run: Run) -> str:
        encoded = await asyncio.to_thread(lambda: base64.b64encode(self._photo).decode())
        found = await self._run(run, {"image": {"content_base64": encoded}, "sizes": SIZES})
        original = await asyncio.to_thread(_small, self._photo)
        wrong = [] if len(found) == len(SIZES) else [f"{len(found)} thumbnails, expected {len(SIZES)}"]
        for size, about in zip(SIZES, found, strict=False):
            content = await self._keep(about["artifact"])
            wrong += await asyncio.to_thread(checks.thumbnail, about, content, size, original)
        _raise_if(wrong)
        return f"{_size(self._photo)} to " + ", ".join(f"{one['width']}x{one['height']}" for one in found)

    async def _mail(self, run: Run) -> str:
        await self._pdf_is_done.wait()
        if self._pdf.status != "succeeded":
            raise Wrong("there is no PDF to attach")
        attached = self._pdf.result
        letter = {
            "from": "Offload demo <demo@example.com>",
            "to": [RECIPIENT],
            "subject": SUBJECT,
            "text": "The report is attached.",
            "attachments": [{"name": attached["name"], "artifact_id": attached["id"]}],
        }
        receipt = await self._run(run, {"message": letter})
        if len(self._inbox.messages) != 1:
            raise Wrong(f"{len(self._inbox.messages)} messages arrived, expected 1")
        recipients, message = self._inbox.messages[0]
        self.files["mail.eml"] = message.as_bytes()
        wrong = checks.mail(message, SUBJECT, attached)
        if not recipients == receipt["accepted"] == [RECIPIENT]:
            wrong.append(f"delivered to {recipients}, but the receipt says {receipt['accepted']}")
        _raise_if(wrong)
        return f"delivered to {RECIPIENT} with an identical copy of the PDF"

    async def _fetch(self, run: Run) -> str:
        got = await self._run(run, {"request": {"url": f"{self._url}/openapi.json"}})
        ours = await self._caller.get("/openapi.json")
        if got["status"] != 200:
            raise Wrong(f"status {got['status']}")
        if httpx.Response(200, text=got["body"]).json() != ours:
            raise Wrong("not the same document as the service returns directly")
        return f"200, OpenAPI {ours['openapi']}, {len(ours['paths'])} paths, {got['size']:,} bytes"

    async def _complete(self, run: Run) -> str:
        answer = await self._run(run, {"prompt": PROMPT})
        if answer["exit_code"] != 0 or not answer["text"].strip():
            raise Wrong("the command printed no answer")
        return f"{answer['lines']} lines in {answer['seconds']:.1f} s"

    async def _digest(self, run: Run) -> str:
        asked = {"password": _PASSWORD, "salt": _SALT, "iterations": ITERATIONS}
        digest = await self._run(run, asked)
        expected = await asyncio.to_thread(
            hashlib.pbkdf2_hmac, "sha256", _PASSWORD.encode(), _SALT.encode(), ITERATIONS
        )
        wrong = [] if digest["hex"] == expected.hex() else ["not the digest that hashlib computes"]
        if _PASSWORD in str(run.document):
            wrong.append("the password is visible in the job document")
        _raise_if(wrong)
        return f"{digest['hex'][:16]}..., {ITERATIONS:,} iterations, password masked"

    async def _flaky(self, run: Run) -> str:
        result = await self._run(run, {"fail_times": 2})
        failed = len(run.document["attempts"])
        if not (run.attempt == result["attempt"] == 3 and failed == 2):
            raise Wrong(f"{run.attempt} attempts, {failed} failed; expected 3 and 2")
        return "2 attempts failed, attempt 3 succeeded"

    async def _sleep(self, run: Run) -> str:
        is_asked = False

        async def abort_once_it_runs(event: str) -> None:
            nonlocal is_asked
            if event == "progress" and not is_asked:
                is_asked = True
                await self._caller.abort(run)

        await self._run(run, {"seconds": _LONG}, abort_once_it_runs)
        if not is_asked or run.ran is None or run.ran > _LONG / 2:
            raise Wrong("not aborted while running")
        return f"stopped after {run.ran:.1f} of {_LONG:g} s"

    async def _tick(self, run: Run) -> str:
        ticks: list[dict[str, Any]] = []
        while len(ticks) < 2:
            page = await self._caller.get("/v1/jobs", status="succeeded", limit=100)
            ticks = [one for one in page["items"] if one["function"] == run.function and self._is_ours(one)]
            await asyncio.sleep(_TICK_PAUSE)
        latest = ticks[0]
        run.id, run.status, run.attempt = latest["id"], latest["status"], latest["attempt"]
        run.document = await self._caller.get(f"/v1/jobs/{run.id}")
        _expect_end(run)
        if run.result["job_id"] != run.id:
            raise Wrong(f"the result names job {run.result['job_id']}")
        return f"fired {len(ticks)} times"

    def _is_ours(self, job: dict[str, Any]) -> bool:
        return (job["enqueued_at"] or "") >= self._started

    async def _keep(self, about: dict[str, Any]) -> bytes:
        """Download and check a file that a job made."""
        content = await self._caller.content(about)
        _raise_if(checks.artifact(about, content))
        self.files[about["name"]] = content
        return content


def _expect_end(run: Run) -> None:
    if run.status != run.expects:
        error = run.document.get("error") or {}
        why = f": {error.get('type')}: {error.get('message')}" if error else ""
        raise Wrong(f"the job is {run.status}, expected {run.expects}{why}")


def _raise_if(wrong: list[str]) -> None:
    if wrong:
        raise Wrong(*wrong)


def _small(photo: bytes) -> Image.Image:
    with Image.open(io.BytesIO(photo)) as picture:
        picture.draft("RGB", (600, 400))
        return picture.convert("RGB")


def _size(content: bytes) -> str:
    return f"{len(content) / 1_048_576:.1f} MiB" if len(content) >= 1_048_576 else f"{len(content) / 1024:.0f} KiB"
