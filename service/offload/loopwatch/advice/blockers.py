"""The table of calls that are known to hold an event loop, by library, with their asynchronous counterparts.

It holds facts only: `hints` makes advice from it after a stall, `offload doctor --code` before one. The behaviour of
a library towards the GIL was measured: a second thread that asked for it 450 times a second ran nearly always, or
nearly never.
"""

from typing import Literal, NamedTuple

Gil = Literal["freed", "held"]


class Blocker(NamedTuple):
    """One library or function that blocks a loop.

    `name` is the beginning of a dotted name, or of the module of a frame. `instead` is the asynchronous counterpart, if
    there is one. `gil` says if the GIL is freed or held while it computes, None if it mostly waits. `calls` are the
    names of calls that block with any arguments, `*` for all: these are found in source code alone.
    """

    name: str
    instead: str | None = None
    gil: Gil | None = None
    calls: str = ""

    @property
    def is_network(self) -> bool:
        """True if it waits for another system, which may never answer."""
        return self.name in _NETWORK


_HTTP = "get post put patch delete head options request send stream urlopen urlretrieve getresponse"
_SQL = "execute executemany executescript callproc fetchone fetchmany fetchall commit rollback"
_QUERIES = f"connect {_SQL} scalar scalars query"
_REDIS = (
    "get set mget mset delete incr decr expire exists hget hset hgetall lpush rpush lpop rpop blpop brpop publish "
    "execute ping keys scan eval evalsha xadd xread zadd zrange sadd smembers"
)
_CLIENT = "httpx.AsyncClient, or ctx.http"
_FILES = "aiofiles"
_SHARED = "one that is made when the module is imported, or ctx.http, which a worker's jobs share"

# Clients: they wait for another system.
_NETWORK_TABLE = (
    Blocker("requests", _CLIENT, calls=_HTTP),
    Blocker("urllib3", _CLIENT, calls=_HTTP),
    Blocker("urllib.request", _CLIENT, calls=_HTTP),
    Blocker("http.client", _CLIENT, calls=_HTTP),
    Blocker("httplib2", _CLIENT, calls=_HTTP),
    Blocker("httpx", _CLIENT, calls=_HTTP),
    Blocker("httpcore", "httpcore.AsyncConnectionPool, or ctx.http", calls=_HTTP),
    Blocker("smtplib", "aiosmtplib, or the job `mail.send`", calls="SMTP SMTP_SSL sendmail send_message login quit"),
    Blocker("imaplib", "aioimaplib", calls="IMAP4 IMAP4_SSL login select search fetch logout"),
    Blocker("poplib", calls="POP3 POP3_SSL stat list retr dele quit"),
    Blocker("ftplib", "aioftp", calls="FTP FTP_TLS connect login retrbinary retrlines storbinary storlines nlst quit"),
    Blocker("telnetlib", "telnetlib3", calls="Telnet read_until read_all"),
    Blocker("paramiko", "asyncssh", calls="connect exec_command open_sftp get put"),
    Blocker("psycopg2", "psycopg.AsyncConnection or asyncpg", calls=_QUERIES),
    Blocker("psycopg", "psycopg.AsyncConnection", calls=_QUERIES),
    Blocker("psycopg_pool", "psycopg_pool.AsyncConnectionPool", calls="connection getconn wait"),
    Blocker("pymysql", "asyncmy or aiomysql", calls=_QUERIES),
    Blocker("MySQLdb", "asyncmy or aiomysql", calls=_QUERIES),
    Blocker("mysql.connector", "mysql.connector.aio", calls=_QUERIES),
    Blocker("pyodbc", "aioodbc", calls=_QUERIES),
    Blocker("cx_Oracle", "oracledb.connect_async", calls=_QUERIES),
    Blocker("oracledb", "oracledb.connect_async", calls=_QUERIES),
    Blocker("pymssql", "aioodbc", calls=_QUERIES),
    Blocker("clickhouse_connect", "clickhouse_connect.get_async_client", calls="get_client command insert query"),
    Blocker("sqlalchemy", "sqlalchemy.ext.asyncio", calls=_QUERIES),
    Blocker("django.db", "the asynchronous methods of the ORM (`aget`, `acreate`, `async for`)"),
    Blocker("pymongo", "pymongo.AsyncMongoClient", calls="find_one insert_one insert_many update_one delete_one"),
    Blocker("redis", "redis.asyncio, or ctx.redis", calls=_REDIS),
    Blocker("elasticsearch", "elasticsearch.AsyncElasticsearch", calls="search index get bulk delete update"),
    Blocker("opensearchpy", "opensearchpy.AsyncOpenSearch", calls="search index get bulk delete update"),
    Blocker("boto3", "aioboto3", calls="*"),
    Blocker("botocore", "aiobotocore", calls="create_client"),
    Blocker("google.cloud", "the library's own AsyncClient, where it has one"),
    Blocker("azure", "the `.aio` package of the same library"),
    Blocker("openai", "openai.AsyncOpenAI", calls="completions.create responses.create embeddings.create"),
    Blocker("anthropic", "anthropic.AsyncAnthropic", calls="messages.create messages.stream"),
    Blocker("stripe", "the library's `…_async` methods", calls="create retrieve modify list"),
    Blocker("slack_sdk", "slack_sdk.web.async_client.AsyncWebClient", calls="chat_postMessage api_call"),
    Blocker("grpc", "grpc.aio"),
    Blocker("kafka", "aiokafka", calls="KafkaConsumer KafkaProducer flush poll"),
    Blocker("confluent_kafka", "aiokafka", calls="poll consume flush"),
    Blocker("pika", "aio-pika", calls="BlockingConnection basic_publish basic_get start_consuming"),
    Blocker("ldap3", "bonsai", calls="bind search add modify delete"),
    Blocker("ldap", "bonsai", calls="simple_bind_s search_s"),
    Blocker("dns.resolver", "dns.asyncresolver", calls="resolve resolve_address"),
    Blocker("docker", "aiodocker", calls="containers.run images.pull images.build"),
    Blocker("kubernetes", "kubernetes_asyncio"),
    Blocker("selenium", "playwright.async_api", calls="get find_element find_elements"),
    Blocker("playwright.sync_api", "playwright.async_api", calls="sync_playwright"),
    Blocker("xmlrpc", _CLIENT),
    Blocker("socket.getaddrinfo", "`await loop.getaddrinfo(…)`", calls="getaddrinfo"),
    Blocker("socket.gethostbyname", "`await loop.getaddrinfo(…)`", calls="gethostbyname gethostbyname_ex"),
    Blocker("socket.gethostbyaddr", "`await loop.getnameinfo(…)`", calls="gethostbyaddr"),
    Blocker("socket.getfqdn", "`await loop.getnameinfo(…)`", calls="getfqdn"),
    Blocker("socket", "asyncio.open_connection", calls="create_connection connect accept recv recvfrom sendall"),
    Blocker("ssl.create_default_context", _SHARED, calls="create_default_context"),
    Blocker("ssl", "asyncio.open_connection(ssl=…)"),
)

# The system: time, processes, threads, files, the terminal.
_SYSTEM = (
    Blocker("time.sleep", "`await asyncio.sleep(…)`", calls="sleep"),
    Blocker("tenacity", "an `async def` for what it retries: it then sleeps with asyncio"),
    Blocker("backoff", "an `async def` for what it retries: it then sleeps with asyncio"),
    Blocker(
        "subprocess",
        "asyncio.create_subprocess_exec",
        calls="run call check_call check_output getoutput getstatusoutput wait communicate",
    ),
    Blocker("os.system", "asyncio.create_subprocess_shell", calls="system"),
    Blocker("os.popen", "asyncio.create_subprocess_shell", calls="popen"),
    Blocker("os.wait", "asyncio.create_subprocess_exec", calls="wait waitpid wait3 wait4"),
    Blocker("os.waitpid", "asyncio.create_subprocess_exec", calls="waitpid"),
    Blocker("pexpect", "its `expect(…, async_=True)`", calls="expect run"),
    Blocker("threading", "asyncio.Lock, asyncio.Event or asyncio.Condition", calls="acquire wait join"),
    Blocker("queue", "asyncio.Queue", calls="get join"),
    Blocker("multiprocessing", "`await ctx.to_process(…)`", calls="map starmap apply join get put recv"),
    Blocker("concurrent.futures", "`await asyncio.wrap_future(…)`", calls="result wait as_completed"),
    Blocker("select", "the loop's own add_reader and add_writer", calls="select poll"),
    Blocker("selectors", "the loop's own add_reader and add_writer", calls="select"),
    Blocker("fcntl", calls="flock lockf"),
    Blocker("filelock", "filelock.AsyncFileLock", calls="acquire"),
    Blocker("open", _FILES, calls="open"),
    Blocker("io.open", _FILES, calls="open"),
    Blocker("io", _FILES),
    Blocker("pathlib", _FILES, calls="read_text read_bytes write_text write_bytes"),
    Blocker("tempfile", _FILES),
    Blocker("shutil", calls="copy copy2 copyfile copytree move rmtree make_archive unpack_archive"),
    Blocker("glob", calls="glob"),
    Blocker("os.walk", calls="walk"),
    Blocker("input", "an argument of the job: a worker has no terminal", calls="input"),
    Blocker("getpass", "an argument of the job: a worker has no terminal", calls="getpass"),
    Blocker("print", "a log, and check the reader of the output: it is too slow, or gone"),
    Blocker("logging", "logging.handlers.QueueHandler; its listener writes in a thread of its own"),
)

# What computes.
_COMPUTING = (
    Blocker("sqlite3", "aiosqlite", "freed", calls=f"connect {_SQL} backup"),
    Blocker("hashlib", gil="freed", calls="pbkdf2_hmac scrypt file_digest"),
    Blocker("bcrypt", gil="freed", calls="hashpw checkpw kdf"),
    Blocker("argon2", gil="freed", calls="hash verify hash_secret"),
    Blocker("passlib", gil="freed", calls="hash verify"),
    Blocker("cryptography.hazmat.primitives.ciphers", gil="held"),
    Blocker("cryptography", gil="freed", calls="generate_private_key derive"),
    Blocker("zlib", gil="freed"),
    Blocker("gzip", gil="freed", calls="open"),
    Blocker("bz2", gil="freed", calls="open"),
    Blocker("lzma", gil="freed", calls="open compress"),
    Blocker("zstandard", gil="freed"),
    Blocker("zipfile", gil="freed", calls="ZipFile extract extractall testzip"),
    Blocker("tarfile", gil="freed", calls="open extract extractall"),
    Blocker("PIL", gil="freed", calls="open save resize thumbnail rotate filter convert transform quantize"),
    Blocker("numpy", gil="freed", calls="load save savez loadtxt genfromtxt"),
    Blocker("torch", gil="freed", calls="load save"),
    Blocker(
        "pandas", gil="held", calls="read_csv read_excel read_sql read_parquet read_json read_html to_csv to_excel"
    ),
    Blocker("lxml", gil="held"),
    Blocker("json", gil="held"),
    Blocker("orjson", gil="held"),
    Blocker("re", gil="held"),
    Blocker("pickle", gil="held"),
    Blocker("copy", gil="held"),
    Blocker("csv", gil="held"),
    Blocker("xml", gil="held"),
    Blocker("yaml", gil="held"),
    Blocker("bs4", gil="held"),
    Blocker("html", gil="held"),
    Blocker("markdown", gil="held"),
    Blocker("jinja2", gil="held"),
    Blocker("fpdf", gil="held", calls="output"),
    Blocker("reportlab", gil="held", calls="build save"),
    Blocker("weasyprint", gil="held", calls="write_pdf"),
    Blocker("openpyxl", gil="held", calls="load_workbook save"),
    Blocker("pypdf", gil="held"),
    Blocker("sklearn", gil="held", calls="fit predict"),
)

# Functions that return an object of their library, besides its classes; and classes that only hold data.
_MAKERS = frozenset(
    {
        *("connect", "client", "resource", "cursor", "session", "begin", "socket", "from_url", "get_client"),
        *("create_engine", "create_connection"),
    }
)
_DATA = frozenset(
    {
        *("Request", "PreparedRequest", "Response", "HTTPResponse", "HTTPMessage", "Headers", "URL", "Cookies"),
        *("QueryParams", "Timeout", "Limits", "Row", "Message"),
    }
)

_NETWORK = frozenset(one.name for one in _NETWORK_TABLE)
TABLE = (*_NETWORK_TABLE, *_SYSTEM, *_COMPUTING)
_BY_NAME = {one.name: one for one in TABLE}


def find(name: str) -> Blocker | None:
    """Return the entry with the longest matching beginning of a dotted name or module; None for asynchronous ones."""
    if is_async(name):
        return None
    while name:
        if found := _BY_NAME.get(name):
            return found
        name = name.rpartition(".")[0]
    return None


def is_async(name: str) -> bool:
    """Return True for a name of an asynchronous library, or of such a part: `redis.asyncio`, `httpx.AsyncClient`."""
    return any("async" in part.lower() or part == "aio" for part in name.split("."))


def find_call(name: str) -> Blocker | None:
    """Return the entry of a call that blocks with any arguments: of a module, or of a client that the module makes.

    A call on an attribute of a client, or on a request or a response, is not such a call: `response.headers.get`.
    """
    found = find(name)
    if found is None or not found.calls:
        return None
    rest = name.removeprefix(found.name).removeprefix(".") or name.rpartition(".")[2]
    for call in found.calls.split():
        if call in ("*", rest) or rest.endswith(f".{call}"):
            before = rest.rpartition(".")[0] if call == "*" else rest.removesuffix(call).rstrip(".")
            return found if _is_client(before) else None
    return None


def makes(name: str) -> bool:
    """Return True for a call that returns an object of its library: a class, or a function with the name of a maker."""
    last = name.rpartition(".")[2]
    return last in _MAKERS or last[:1].isupper()


def _is_client(path: str) -> bool:
    is_object = False
    for part in path.split(".") if path else ():
        if part in _DATA or (is_object and not makes(part)):
            return False
        is_object = is_object or makes(part)
    return True
