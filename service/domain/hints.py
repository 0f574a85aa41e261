"""What to do instead of what held the loop: a sentence for each cause, from the call that was under way.

The table names what people meet most; where it knows nothing the kind of waiting decides.
"""

from typing import Literal, NamedTuple

Waiting = Literal["sleeping", "computing", "gil-held"]
"""How the loop was held: asleep in a system call, computing and giving up the GIL at times, or in C with the GIL."""


class Remedy(NamedTuple):
    """`module` is what the file of the innermost frame, or the call, begins with."""

    module: str
    instead: str


# Modules whose calls sleep, each with its asynchronous counterpart.
_ASYNC = (
    Remedy("requests", "httpx.AsyncClient (or ctx.http)"),
    Remedy("urllib3", "httpx.AsyncClient (or ctx.http)"),
    Remedy("urllib", "httpx.AsyncClient (or ctx.http)"),
    Remedy("http.client", "httpx.AsyncClient (or ctx.http)"),
    Remedy("httpx.Client", "httpx.AsyncClient (or ctx.http)"),
    Remedy("smtplib", "aiosmtplib (or ctx.smtp, or the job mail.send)"),
    Remedy("imaplib", "aioimaplib"),
    Remedy("ftplib", "aioftp"),
    Remedy("paramiko", "asyncssh"),
    Remedy("psycopg2", "psycopg's AsyncConnection or asyncpg"),
    Remedy("psycopg", "psycopg.AsyncConnection"),
    Remedy("pymysql", "asyncmy or aiomysql"),
    Remedy("MySQLdb", "asyncmy or aiomysql"),
    Remedy("sqlite3", "aiosqlite"),
    Remedy("pymongo", "pymongo.AsyncMongoClient"),
    Remedy("redis", "redis.asyncio (or ctx.redis)"),
    Remedy("sqlalchemy", "sqlalchemy.ext.asyncio"),
    Remedy("boto3", "aioboto3"),
    Remedy("botocore", "aiobotocore"),
    Remedy("google.cloud", "the library's AsyncClient"),
    Remedy("openai", "openai.AsyncOpenAI"),
    Remedy("anthropic", "anthropic.AsyncAnthropic"),
    Remedy("subprocess", "asyncio.create_subprocess_exec"),
    Remedy("socket", "asyncio.open_connection"),
    Remedy("ssl", "asyncio.open_connection(ssl=…)"),
    Remedy("time.sleep", "await asyncio.sleep(…)"),
    Remedy("threading", "asyncio.Event, asyncio.Lock or asyncio.Queue"),
    Remedy("queue", "asyncio.Queue"),
    Remedy("concurrent.futures", "await asyncio.wrap_future(…)"),
    Remedy("select", "the loop's own add_reader, or asyncio.open_connection"),
    Remedy("open", "await ctx.to_thread(…) or aiofiles"),
    Remedy("pathlib", "await ctx.to_thread(…) or aiofiles"),
    Remedy("shutil", "await ctx.to_thread(…)"),
    Remedy("zipfile", "await ctx.to_thread(…)"),
    Remedy("socket.getaddrinfo", "await loop.getaddrinfo(…)"),
)

# Modules whose calls compute; those that give up the GIL are well off in a thread.
_THREAD = ("hashlib", "bcrypt", "argon2", "zlib", "gzip", "bz2", "lzma", "numpy", "PIL", "cryptography")
_PROCESS = (
    "pandas",
    "json",
    "re",
    "pickle",
    "csv",
    "xml",
    "yaml",
    "lxml",
    "bs4",
    "fpdf",
    "reportlab",
    "jinja2",
    "copy",
)


OF_KIND = {
    "saturated": "many short steps in a row, none to blame by itself: run more processes, or fewer jobs in each",
    "gc": "Python collected garbage: keep fewer objects, or call `gc.freeze()` when what lives long has been made",
    "starved": "the process waited for a processor, or was stopped: the machine is too small for what runs on it",
    "gil-other-thread": "another thread held the GIL: move what it computes into a process",
    "startup": "the process was starting: import what it needs before the loop runs",
}

_PROCESSES = 'use `runs_in="process"` or `await ctx.to_process(…)`'


def remedy(callee: str, module: str, waiting: Waiting, *, is_job: bool = True) -> str:
    """Say what to do instead of a call.

    `callee` is its source (`requests.get(url)`), `module` that of the innermost frame.
    """
    named = callee.partition("(")[0].strip()
    found = _longest(named, module)
    step = "`await ctx.to_thread(…)`" if is_job else "`await asyncio.to_thread(…)`"
    whole = " or make the job a plain `def`, which runs in a thread" if is_job else ""
    if waiting == "sleeping" and found:
        return f"use {found}, or {step}{whole and ',' + whole}"
    top = (named or module).partition(".")[0]
    if waiting == "gil-held" or _is_of(top, module, _PROCESS):
        return f"it computes while it holds the GIL, so a thread would not help: {_PROCESSES}"
    if _is_of(top, module, _THREAD):
        return f"it gives up the GIL while it computes: {step} is enough{whole and ',' + whole}"
    if waiting == "computing":
        return f"it computes: {_PROCESSES}"
    return f"it waits for the system: use an asynchronous client, or {step}{whole and ',' + whole}"


def _longest(named: str, module: str) -> str | None:
    fits = [one for one in _ASYNC if _begins(named, one.module) or _begins(module, one.module)]
    return max(fits, key=lambda one: len(one.module)).instead if fits else None


def _begins(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _is_of(top: str, module: str, known: tuple[str, ...]) -> bool:
    return top in known or any(_begins(module, one) for one in known)
