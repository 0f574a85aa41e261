"""A secret on every path that a job has: it reaches the function, and nothing that anybody reads."""

from dataclasses import dataclass, field
from typing import Annotated

import httpx
import pytest
from pydantic import AfterValidator, SecretStr
from structlog.testing import capture_logs

from integration.api.support import settings_for
from offload import JobContext, job
from offload.app import create_app
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.errors import GiveUp
from offload.domain.security.secrets import MASK

SECRET = "hunter2-of-the-night"
PASSWORD = SecretStr(SECRET)


def refuse(given: str) -> str:
    if given.endswith("bad"):
        raise ValueError(f"{given!r} will not do")
    return given


def tell(ctx: JobContext, pin: SecretStr, options: dict[str, str]) -> None:
    """Say the secret in every way that a job can speak."""
    value = pin.get_secret_value()
    ctx.progress(0.5, f"trying {value}")
    message = "the pin is " + value
    ctx.log.info(message, tried=value, api_key="another-secret-key")
    ctx.log.warning("fields", nested={"deep": [value]})
    raise GiveUp(f"giving up on {options['api_key']}") from ConnectionError(f"cannot log in with {value!r}")


@job(name="s.on_loop", max_tries=1)
async def on_loop(ctx: JobContext, pin: SecretStr, options: dict[str, str]) -> None:
    tell(ctx, pin, options)


@job(name="s.in_thread", max_tries=1, runs_in="thread")
def in_thread(ctx: JobContext, pin: SecretStr, options: dict[str, str]) -> None:
    tell(ctx, pin, options)


@job(name="s.in_process", max_tries=1, runs_in="process")
def in_process(ctx: JobContext, pin: SecretStr, options: dict[str, str]) -> None:
    tell(ctx, pin, options)


@job(name="s.retries", max_tries=2)
async def retries(ctx: JobContext, password: str) -> None:
    raise TimeoutError(f"no answer to {password}")


@job(name="s.puts_in", max_tries=1)
async def puts_in(ctx: JobContext, pin: SecretStr) -> SecretStr:
    child = await ctx.enqueue("s.retries", password=pin.get_secret_value())
    ctx.log.info("put in", child=child.id)
    return pin


@job(name="s.refuses", max_tries=1)
async def refuses(ctx: JobContext, password: Annotated[str, AfterValidator(refuse)]) -> None: ...


async def arq_job(ctx, *, password):
    raise RuntimeError("no")


ALL = [on_loop, in_thread, in_process, retries, puts_in, refuses]


async def everything_readable(redis):
    """All that stands in Redis but arguments and results, which are there to be used."""
    found = []
    async for key in redis.scan_iter(count=1000):
        name = key.decode()
        if name.startswith(("arq:job:", "arq:result:")):
            continue
        kind = (await redis.type(key)).decode()
        found.append(name)
        match kind:
            case "hash":
                found += [v for k, v in (await redis.hgetall(key)).items() if k not in (b"payload", b"callback")]
            case "list":
                found += await redis.lrange(key, 0, -1)
            case "zset":
                found += await redis.zrange(key, 0, -1)
            case "set":
                found += await redis.smembers(key)
            case "stream":
                found += await redis.xrange(key)
            case "string":
                found.append(await redis.get(key))
    return "\n".join(map(repr, found))


GIVEN = {"pin": SECRET, "options": {"api_key": SECRET}}
BODIES = {
    "s.on_loop": GIVEN,
    "s.in_thread": GIVEN,
    "s.in_process": GIVEN,
    "s.retries": {"password": SECRET},
    "s.puts_in": {"pin": SECRET},
}
BAD = {"password": SECRET + "-bad"}
READING = ("/v1/jobs?status=dead", "/v1/audit", "/v1/functions", "/v1/stalls", "/v1/stats", "/metrics")


@dataclass
class Caller:
    """Calls the API and keeps every answer."""

    http: httpx.AsyncClient
    answers: list[httpx.Response] = field(default_factory=list)

    async def __call__(self, method, path, **about):
        self.answers.append(await self.http.request(method, path, **about))
        return self.answers[-1]

    async def be_refused(self):
        """Send the secret where it does not fit."""
        await self("POST", "/v1/functions/s.refuses/jobs", json=BAD)
        await self("POST", "/v1/functions/s.on_loop/jobs", json={"pin": [SECRET], "options": SECRET})
        await self("POST", "/v1/jobs", json={"jobs": [{"function": "s.refuses", "args": BAD}]})
        broken, declared = f'{{"pin": "{SECRET}"'.encode(), {"content-type": "application/json"}
        await self("POST", "/v1/functions/s.on_loop/jobs", content=broken, headers=declared)

    async def put_in_and_look(self, b):
        """Put every job in, and read, abort and replay it in every way."""
        ids = []
        for name, body in BODIES.items():
            ids.append((await self("POST", f"/v1/functions/{name}/jobs", json=body)).json()["id"])
        for job_id in ids:
            await b.ended(job_id)
            for path in ("", "/result", "/events", "/explain"):
                await self("GET", f"/v1/jobs/{job_id}{path}")
        for one in (await self("GET", "/v1/jobs")).json()["items"]:
            await b.ended(one["id"])
            await self("POST", f"/v1/jobs/{one['id']}/abort")
        await self("POST", f"/v1/jobs/{ids[0]}/retry")
        await b.ended(ids[0])
        for path in READING:
            await self("GET", path)

    def text(self):
        return "\n".join(f"{answer.headers} {answer.text}" for answer in self.answers)

    def documents(self):
        """The documents of jobs that failed, by their functions."""
        found = [one.json() for one in self.answers if "json" in one.headers["content-type"]]
        return {one["function"]: one for one in found if isinstance(one, dict) and one.get("attempts") and one["error"]}


async def test_a_secret_is_in_nothing_that_is_read(bench, redis, redis_server, tmp_path, caplog, capfd):
    """Arguments, failed validation, errors with tracebacks, progress, log lines, results, children, events, audit."""
    app = create_app(settings_for(redis_server.url, tmp_path), Catalogue(of_functions(ALL)))
    transport = httpx.ASGITransport(app)
    async with (
        bench(*ALL) as b,
        b.worker(),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        call = Caller(http)
        with capture_logs() as logs, caplog.at_level("DEBUG"):
            await call.be_refused()
            await call.put_in_and_look(b)
        stored = await everything_readable(redis)
    console = "".join(capfd.readouterr())
    outputs = {"http": call.text(), "redis": stored, "logs": repr(logs) + caplog.text, "console": console}
    documents = call.documents()

    assert [answer.status_code for answer in call.answers[:4]] == [422, 422, 422, 400]
    assert {name for name, text in outputs.items() if SECRET in text or "another-secret-key" in text} == set()
    assert "s.puts_in" in outputs["redis"]  # the net is not empty
    assert "job_dead" in outputs["logs"]
    for name in ("s.on_loop", "s.in_thread", "s.in_process"):
        document = documents[name]
        assert document["args"] == {"pin": MASK, "options": {"api_key": MASK}}
        assert document["error"]["message"] == f"giving up on {MASK}"
        assert f"cannot log in with '{MASK}'" in document["error"]["traceback"]
        assert document["progress"]["message"] == f"trying {MASK}"
        assert document["log"][0]["message"] == f"the pin is {MASK}"
        assert document["log"][0]["fields"] == {"tried": MASK, "api_key": MASK}


async def test_what_was_changed_before_it_is_said_is_not_known(bench):
    """The limit of it: a value that the code has encoded, or that was no secret argument, is another text."""

    @job(name="s.encodes", max_tries=1)
    async def encodes(ctx: JobContext, password: str, note: str) -> None:
        raise ValueError(f"{password.encode().hex()} {note}")

    async with bench(encodes) as b, b.worker():
        record = await b.run("s.encodes", password=SECRET, note="plain-word")

    assert record.error.message == f"{SECRET.encode().hex()} plain-word"


async def test_arqs_own_lines_mask_named_arguments(bench, caplog):
    """A worker of plain arq functions logs their arguments as arq does, but not those that are named as secrets."""
    with caplog.at_level("INFO"):
        async with bench(arq_job) as b, b.worker():
            await b.run("arq_job", password=SECRET)

    assert "arq_job(password='**********')" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("kind", ["json", "console"])
async def test_a_log_with_a_traceback_shows_no_locals(kind, capsys):
    """Neither format of the log renders local variables, which hold arguments."""
    import structlog

    from offload import logs

    logs.configure("INFO", kind, colors=False)
    password = SECRET
    try:
        int(password[:3])
    except ValueError:
        structlog.get_logger().exception("broken")
    said = capsys.readouterr().err

    assert "ValueError" in said
    assert SECRET not in said
