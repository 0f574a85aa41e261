"""What is advised, decided from values: the call's source, the modules that it led to, how the loop was held."""

import pytest

from offload.loopwatch.advice import blockers, hints

ADVICE = [
    ("psycopg2.connect(dsn)", (), "psycopg.AsyncConnection or asyncpg"),
    ("session.get(url)", ("requests.sessions", "urllib3.connectionpool", "http.client", "socket"), "httpx.AsyncClient"),
    ("client.get(url)", ("httpx._client", "httpcore._sync.connection_pool", "ssl"), "httpx.AsyncClient"),
    ("boto3.client('s3').upload_file(a, b, c)", (), "aioboto3"),
    ("s3.get_object(Key=k)", ("botocore.client", "botocore.httpsession", "urllib3.connectionpool"), "aiobotocore"),
    ("cursor.execute(sql)", ("pymysql.cursors", "pymysql.connections", "socket"), "asyncmy or aiomysql"),
    ("User.objects.get(pk=1)", ("django.db.models.query", "sqlite3"), "the asynchronous methods of the ORM"),
    ("session.execute(query)", ("sqlalchemy.orm.session", "psycopg2.extras"), "sqlalchemy.ext.asyncio"),
    ("oracledb.connect(dsn)", (), "oracledb.connect_async"),
    ("pyodbc.connect(dsn)", (), "aioodbc"),
    ("consumer.poll()", ("kafka.consumer.group", "selectors"), "aiokafka"),
    ("stub.Ask(request)", ("grpc._channel", "threading"), "grpc.aio"),
    ("es.search(index='a')", ("elasticsearch._sync.client", "urllib3.connectionpool"), "AsyncElasticsearch"),
    ("conn.search(base, text)", ("ldap3.core.connection", "socket"), "bonsai"),
    ("socket.getaddrinfo(host, 80)", ("socket",), "`await loop.getaddrinfo(…)`"),
    ("fetch()", ("tenacity", "tenacity.nap"), "an `async def` for what it retries"),
    ("log.info('x')", ("logging", "logging.handlers", "socket"), "logging.handlers.QueueHandler"),
    ("input('> ')", (), "an argument of the job"),
    ("print(text)", (), "check the reader of the output"),
    ("os.system('sync')", (), "asyncio.create_subprocess_shell"),
    ("shutil.copytree(a, b)", ("shutil",), "use `await ctx.to_thread(…)`"),
]


@pytest.mark.parametrize(("call", "modules", "advice"), ADVICE, ids=[call for call, *_ in ADVICE])
def test_a_call_that_sleeps_gets_its_counterpart(call, modules, advice):
    """The library that the user called counts, not what it stands on; a thread is there for all."""
    said = hints.remedy(call, modules, "sleeping")

    assert said.startswith("use ")
    assert advice in said
    assert "`await ctx.to_thread(…)`" in said
    assert "plain `def`" in said


SOURCE = """
import sqlite3
import numpy as np
from time import sleep
from PIL import Image
import redis
import redis.asyncio

shared = sqlite3.connect("a")


class Store:
    def __init__(self):
        self.db = sqlite3.connect("b")

    async def read(self):
        self.db.execute("…")


async def f(ctx, given: sqlite3.Connection):
    conn = sqlite3.connect("c")
    sleep(3)
    with redis.Redis() as client:
        client.get("x")
    other = redis.asyncio.Redis()
    unknown = make()
    Image.open(path).resize(size)


async def g(ctx, conn):
    conn.execute("…")
"""


@pytest.mark.parametrize(
    ("call", "line", "means"),
    [
        ("sleep(3)", 22, "time.sleep"),
        ("conn.execute(sql)", 22, "sqlite3.connect.execute"),
        ("conn.execute(sql)", 30, ""),
        ("shared.execute(sql)", 30, "sqlite3.connect.execute"),
        ("given.execute(sql)", 22, "sqlite3.Connection.execute"),
        ("self.db.execute('…')", 17, "sqlite3.connect.execute"),
        ("client.get('x')", 24, "redis.Redis.get"),
        ("unknown.get('x')", 24, ""),
        ("Image.open(path).resize(size)", 27, "PIL.Image.open.resize"),
        ("np.sort(x)", 22, "numpy.sort"),
        ("x = np.sort(", 22, "numpy.sort"),
        ("with shared:", 22, "sqlite3.connect"),
        ("open(path)", 22, "open"),
    ],
)
def test_names_mean_what_their_file_says(call, line, means):
    """By its imports, and by what filled a variable; one that may be anything means nothing."""
    assert hints.meaning(call, SOURCE, line) == means


def test_a_driver_in_c_is_known_by_what_made_its_connection():
    """It leaves no frame: the variable's name tells nothing, its assignment does; else the advice is general."""
    known = hints.remedy("conn.execute(sql)", (), "sleeping", source=SOURCE, line=22)
    unknown = hints.remedy("conn.execute(sql)", (), "sleeping", source=SOURCE, line=30)

    assert known.startswith("use aiosqlite; or `await ctx.to_thread(…)`")
    assert unknown.startswith(
        "it waits for an external resource: use an asynchronous client, or `await ctx.to_thread(…)`"
    )


@pytest.mark.parametrize(
    ("call", "modules", "advice"),
    [
        ("bcrypt.hashpw(password, salt)", (), "a thread is enough"),
        ("hashlib.scrypt(b'')", (), "a thread is enough"),
        ("image.resize(size)", ("PIL.Image",), "a thread is enough"),
        ("np.linalg.svd(a)", ("numpy.linalg.linalg",), "it computes"),
        ("frame.groupby('a')", ("pandas.core.groupby",), "a thread would not help"),
        ("response.json()", ("requests.models", "json", "json.decoder"), "a thread would not help"),
        ("cipher.encrypt(data)", ("cryptography.hazmat.primitives.ciphers.aead",), "a thread would not help"),
        ("walk(tree)", (), "it computes: run it with `await ctx.to_process(…)`"),
    ],
)
def test_a_call_that_computes_is_sent_where_it_helps(call, modules, advice):
    """Into a thread where it gives up the GIL, else into a process."""
    assert advice in hints.remedy(call, modules, "computing")


def test_who_holds_the_gil_is_sent_into_a_process_whatever_is_known():
    """It was seen to hold it; a thread would not help."""
    said = hints.remedy("hashlib.sha256(data)", (), "gil-held")

    assert said.startswith("it computes while it holds the GIL, so a thread would not help")
    assert 'runs_in="process"' in said


@pytest.mark.parametrize("waiting", ["sleeping", "computing", "gil-held"])
def test_a_route_is_not_told_what_only_jobs_have(waiting):
    """No ctx, and no `def` instead of it."""
    said = hints.remedy("requests.get(url)", (), waiting, is_job=False)

    assert "ctx." not in said
    assert "asyncio.to_thread" in said or "make it a job" in said


@pytest.mark.parametrize("one", blockers.TABLE, ids=[one.name for one in blockers.TABLE])
def test_no_entry_tells_a_route_of_a_context(one):
    """A request has none."""
    assert "ctx." not in hints.remedy(f"{one.name}.x()", (), "sleeping", is_job=False)


@pytest.mark.parametrize(
    "name",
    [
        *("redis.asyncio.Redis.get", "psycopg.AsyncConnection.execute", "psycopg.connection_async", "httpcore._async"),
        *("sqlalchemy.ext.asyncio.create_async_engine", "azure.storage.blob.aio", "grpc.aio", "oracledb.connect_async"),
        *("anthropic.AsyncAnthropic", "asyncio.sleep", "aiosqlite.connect"),
    ],
)
def test_an_asynchronous_library_is_no_blocker(name):
    """Though its name begins as that of the blocking one."""
    assert blockers.find(name) is None


@pytest.mark.parametrize(
    ("call", "modules"),
    [
        ("client.get(url)", ("httpx._client", "httpcore._async.connection_pool")),
        ("conn.execute(sql)", ("psycopg.connection_async", "psycopg._conninfo_utils", "socket")),
        ("httpx.AsyncClient().get(url)", ("httpx._client",)),
    ],
)
def test_who_has_the_asynchronous_library_is_not_told_to_take_it(call, modules):
    """What of it slept is not known: the advice is general."""
    assert hints.remedy(call, modules, "sleeping").startswith("it waits for an external resource")


def test_the_longest_name_counts():
    """`socket.getaddrinfo` has advice of its own."""
    assert blockers.find("socket.getaddrinfo").instead == "`await loop.getaddrinfo(…)`"
    assert blockers.find("socket.socket.recv").name == "socket"
    assert blockers.find("socketserver") is None


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        *(("requests.get", True), ("requests.Session", False), ("requests.Session.post", True)),
        *(("subprocess.run", True), ("subprocess.Popen", False), ("threading.Lock", False), ("boto3.resource", True)),
        *(("json.dumps", False), ("PIL.Image.open", True), ("PIL.Image.new", False), ("pandas.read_csv", True)),
        *(("httpx.Response.headers.get", False), ("httpx.Client.headers.get", False), ("httpx.Client.get", True)),
        *(("openai.OpenAI.models.create", False), ("queue.SimpleQueue.put", False)),
    ],
)
def test_a_call_alone_is_told_where_it_always_blocks(name, blocks):
    """What makes an object, or may be quick, is not."""
    assert (blockers.find_call(name) is not None) is blocks


def test_names_stand_once_in_the_table():
    """A second entry would never be found."""
    names = [one.name for one in blockers.TABLE]

    assert len(names) == len(set(names)) > 90
