"""From an address to a connection, and what counts as Redis being away."""

import asyncio
import contextlib
import json

import pytest
from arq.connections import RedisSettings
from redis.exceptions import ResponseError

from offload.domain.errors import InvalidOptions, Unavailable
from offload.domain.redis_address import without_password
from offload.store.connection import scripts
from offload.store.connection.blocking import portable
from offload.store.connection.connection import check, client, settings_of, settings_of_client


def part(url):
    made = settings_of(url)
    return made.host, made.port, made.username, made.password, made.database, made.ssl


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("redis://", ("localhost", 6379, None, None, 0, False)),
        ("redis://r", ("r", 6379, None, None, 0, False)),
        ("redis://r/", ("r", 6379, None, None, 0, False)),
        ("redis://r:1/3", ("r", 1, None, None, 3, False)),
        ("redis://r:1?db=4", ("r", 1, None, None, 4, False)),
        ("redis://[::1]:7/2", ("::1", 7, None, None, 2, False)),
        ("rediss://r", ("r", 6379, None, None, 0, True)),
        ("redis://:pw@r", ("r", 6379, None, "pw", 0, False)),
        ("redis://me:p%40s%2Fs%3A%25@r", ("r", 6379, "me", "p@s/s:%", 0, False)),
        ("rediss://a%40b:p%2540@r:1/0", ("r", 1, "a@b", "p%40", 0, True)),
    ],
)
def test_an_address_is_read_in_all_its_parts(url, settings):
    """Host, port, database, TLS, and user and password that are percent-encoded once."""
    found = part(url)

    assert (found[0], found[1], found[2] or None, *found[3:]) == settings


def test_a_unix_socket():
    """Path and database, user and password."""
    plain, full = settings_of("unix:///run/redis.sock"), settings_of("unix://me:p%40@/run/redis.sock?db=2")

    assert (plain.unix_socket_path, plain.database, plain.password) == ("/run/redis.sock", 0, None)
    assert (full.unix_socket_path, full.database, full.username, full.password) == ("/run/redis.sock", 2, "me", "p@")


def test_a_path_with_encoded_signs_is_the_path_itself():
    """A space in a directory's name is written %20."""
    assert settings_of("unix:///my%20data/r.sock").unix_socket_path == "/my data/r.sock"


def test_a_sentinel_address():
    """Several hosts, a default port, the master's name and the database."""
    made = settings_of("redis+sentinel://me:p%40@s1:1,s2,[::1]:3/main/4")

    assert made.sentinel
    assert made.host == [("s1", 1), ("s2", 26379), ("::1", 3)]
    assert (made.sentinel_master, made.database, made.username, made.password) == ("main", 4, "me", "p@")
    assert settings_of("redis+sentinel://s1").sentinel_master == "mymaster"


def test_sentinels_have_credentials_of_their_own():
    """They travel in the query, are passed on to the guardian, and are not shown."""
    url = "redis+sentinel://:hunter1@s1/main/4?sentinel_username=me&sentinel_password=hunter%202"
    made = settings_of(url)
    told = json.loads(json.dumps(portable(made)))

    assert (made.database, made.sentinel_username, made.sentinel_password) == (4, "me", "hunter 2")
    assert (told["password"], told["sentinel_username"], told["sentinel_password"]) == ("hunter1", "me", "hunter 2")
    assert without_password(url) == "redis+sentinel://:***@s1/main/4?sentinel_username=me&sentinel_password=***"


async def test_settings_of_somebody_elses_sentinel_client_name_the_sentinels():
    """Arq takes a redis_pool; the parts of a worker must follow the same master."""
    url = "redis+sentinel://me:pw@s1:1,s2/main/4?sentinel_username=you&sentinel_password=secret"
    one = client(settings_of(url))
    found = settings_of_client(one)
    await one.aclose()

    assert portable(found) == portable(settings_of(url))


@pytest.mark.parametrize(
    "url",
    ["", "http://r", "localhost:6379", "redis://r/x", "redis://r:port/0", "redis://r:70000", "redis+sentinel://s:x/m"],
)
def test_what_is_no_address_is_refused(url):
    """With one kind of error, which shows what would have been right."""
    with pytest.raises(InvalidOptions, match="redis://"):
        settings_of(url)


def test_a_refusal_does_not_show_the_password():
    """The address may be logged."""
    with pytest.raises(InvalidOptions) as refused:
        settings_of("redis://me:hunter2@r/x")

    assert "hunter2" not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path):
    """The address is named, the password is not."""
    address = f"unix://:hunter2@{tmp_path}/no.sock"
    connection = client(settings_of(address))

    with pytest.raises(Unavailable, match="no Redis at") as away:
        await check(connection, address)
    await connection.aclose()
    assert "hunter2" not in str(away.value)


@pytest.mark.parametrize(("setting", "value", "normal"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")])
async def test_a_server_that_cannot_write_is_unavailable(store, redis, setting, value, normal):
    """Out of memory, or without the replicas that it needs: nothing was changed, try again later."""
    await store.enqueue("before")
    await redis.config_set(setting, value)
    try:
        with pytest.raises(Unavailable):
            await store.enqueue("a")
    finally:
        await redis.config_set(setting, normal)
    assert await store.status("a") is None


async def test_a_server_that_forgot_the_scripts_is_given_them_again(store, redis):
    """After a restart or a failover the SHA is unknown; the caller does not notice."""
    await store.enqueue("a")
    await redis.script_flush()

    assert await store.enqueue("b") == [1]
    assert (await redis.script_exists(scripts.sha("enqueue"))) == [True]


async def test_settings_of_somebody_elses_client_reach_the_same_server(redis, redis_server):
    """Arq takes a redis_pool instead of settings; the parts of a worker need connections of their own."""
    await redis.set("offload:counts:1", "x", ex=10)
    other = client(settings_of_client(redis))
    found = await other.get("offload:counts:1")
    await other.aclose()

    assert found == b"x"
    assert isinstance(settings_of_client(redis), RedisSettings)


async def test_a_client_can_be_held_to_few_connections(redis_server):
    """A thousand callers of one moment share them, and none is lost by one that fails or is cancelled."""
    few = client(settings_of(redis_server.url), most=5)
    async with contextlib.aclosing(few):
        for _ in range(3):
            calls = [asyncio.create_task(few.ping()) for _ in range(300)]
            calls += [asyncio.create_task(few.execute_command("NONSENSE")) for _ in range(300)]
            cancelled = [asyncio.create_task(few.blpop("nobody", 5)) for _ in range(300)]
            await asyncio.sleep(0)
            for task in cancelled:
                task.cancel()
            said = await asyncio.gather(*calls, *cancelled, return_exceptions=True)
        pool = few.connection_pool

        assert said[:300] == [True] * 300
        assert all(isinstance(error, ResponseError) for error in said[300:600])
        assert len(pool._available_connections) + len(pool._in_use_connections) <= 5
        assert few.connection_pool.free._value == 5
