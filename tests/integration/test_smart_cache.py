"""The caches over a real Redis: what they remember, for how long, for whom, and what they do without it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from superclient.errors import CacheError, CacheTimeoutError, CacheUnavailableError, ConfigurationError
from superclient.smart.cache import background, store
from superclient.smart.cache.base import Cache
from superclient.smart.cache.factory import CacheFactory
from superclient.smart.cache.hybrid import DefaultHybridCache
from superclient.smart.cache.memory import DefaultLocalCache
from superclient.smart.cache.redis import DefaultRemoteCache
from superclient.smart.cache.store import RedisStore
from superclient.smart.config import CacheConfig
from tests.environments import environment, run_program
from tests.faults import refused_port, silent_port
from tests.servers import wait_for
from tests.servers.redis import RedisServer, SecureRedis

MATRIX = pytest.mark.matrix_full
VALUES = [True, 0, -3, 2.5, "words", "", "ü", [1, [2]], {"a": {"b": None}}, [], {}]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things is no Redis that is slow."""
    monkeypatch.setattr(store, "TIMEOUT", 20.0)
    monkeypatch.setattr(background, "PATIENCE", 20.0)


@pytest.fixture
def made() -> Iterator[Callable[..., Any]]:
    """Makes caches, and closes them afterwards."""
    caches: list[Any] = []

    def make(kind: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        caches.append(kind(*arguments, **options))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def space() -> str:
    """A namespace that no other test has."""
    return f"test-{os.urandom(6).hex()}"


def in_redis(server: RedisServer, space: str) -> dict[str, Any]:
    """What is in a namespace, by its bare keys."""
    prefix = f"superclient:{space}:"
    with server.client() as client:
        found = {name.decode(): client.get(name) for name in client.scan_iter(f"{prefix}*")}
    return {name.removeprefix(prefix): json.loads(raw or b"null")["value"] for name, raw in found.items()}


# --- what they remember -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DefaultRemoteCache, DefaultHybridCache])
def test_values_come_back_as_they_are(kind: Any, redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-26, KSP-27: in another process's eyes too, whatever JSON holds; deleted and cleared, they are gone."""
    mine, other = (made(kind, redis_server.config(), space) for _ in range(2))
    for number, value in enumerate(VALUES):
        mine.set(f"key {number} ü", value)
        found = other.get(f"key {number} ü")
        assert (found, type(found)) == (value, type(value))
    assert other.get("never set") is None
    mine.delete("key 0 ü")
    assert made(kind, redis_server.config(), space).get("key 0 ü") is None
    mine.clear()
    assert in_redis(redis_server, space) == {}


def test_namespaces_and_databases_are_apart(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-26: a cache sees and clears its own namespace alone, whatever letters that has, and its own database."""
    mine = made(DefaultRemoteCache, redis_server.config(), space)
    other = made(DefaultRemoteCache, redis_server.config(), f"{space}-2")
    glob = made(DefaultRemoteCache, redis_server.config(), f"{space[:-1]}?")
    elsewhere = made(DefaultRemoteCache, redis_server.config(redis_db=1), space)
    for number, cache in enumerate((mine, other, glob, elsewhere)):
        cache.set("k", number)
    glob.clear()
    assert mine.get("k") == 0
    mine.clear()
    assert [cache.get("k") for cache in (mine, other, glob, elsewhere)] == [None, 1, None, 3]
    elsewhere.clear()


def test_what_is_no_json_is_said_at_once(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-26: no value changes its type on the way: what would, is refused before it is written."""
    cache = made(DefaultHybridCache, redis_server.config(), space)
    for value in (b"bytes", (1, 2), {1: "partition"}, [{"a": {2: 3}}], object()):
        for setting in (cache.set, cache.set_nowait):
            with pytest.raises(TypeError):
                setting("k", value)
    assert cache.get("k") is None


FOREIGN = [
    b"3",
    b"null",
    b'"words"',
    b"not json",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"superclient": 2, "value": 3}',
    b'{"value": 3}',
    b'{"superclient": 1}',
    b'{"superclient": 1, "value": null}',
    b"",
]


@pytest.mark.parametrize("kind", [DefaultRemoteCache, DefaultHybridCache])
def test_what_is_not_ours_is_a_miss(kind: Any, redis_server: RedisServer, space: str, made: Any, caplog: Any) -> None:
    """KSP-26: values of another version or of anybody else's making, and other types; they are replaced."""
    cache = made(kind, redis_server.config(), space)
    name = f"superclient:{space}:k"
    with redis_server.client() as client:
        for raw in FOREIGN:
            client.set(name, raw)
            assert cache.get("k") is None
        client.delete(name)
        client.rpush(name, b"1", b"2")
        assert cache.get("k") is None
        assert cache.get_nowait("k") is None
        cache.set("k", 5)
    assert in_redis(redis_server, space) == {"k": 5}
    assert cache.get("k") == 5
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- for how long -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "low", "high"), [(None, 899_000, 900_000), (0.4, 1, 400), (1e-9, -2, 1), (1e300, 10**11, 10**12)]
)
def test_how_long_redis_keeps_it(
    ttl: float | None, low: int, high: int, redis_server: RedisServer, space: str, made: Any
) -> None:
    """KSP-26: the time to live is in milliseconds: a fraction of a second is not 0, and nothing is kept for ever."""
    cache = made(DefaultRemoteCache, redis_server.config(), space)
    with redis_server.client() as client:
        for _ in range(100):  # 400 ms may be over before a busy machine comes to ask
            cache.set("k", 1, ttl)
            left = client.pttl(f"superclient:{space}:k")
            if left != -1 and low <= left <= high:  # -1 is for ever, -2 is over
                break
        else:
            pytest.fail(f"{left} ms")


def test_it_goes_with_its_time(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-26, KSP-27: after a time to live below a second it is gone from Redis, and from the memory in front."""
    config = redis_server.config(local_ttl_seconds=100.0, remote_ttl_seconds=0.3)
    caches = [made(kind, config, space) for kind in (DefaultRemoteCache, DefaultHybridCache)]
    caches[0].set("k", 1)
    for cache in caches:
        wait_for(lambda cache=cache: cache.get("k") is None, "the value's end")
        assert cache.get_nowait("k") is None


def test_promoted_for_the_rest_of_its_time(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-27: what memory learns from Redis it keeps no longer than Redis does, nor longer than its own time."""
    made(DefaultRemoteCache, redis_server.config(), space).set("short", 1, 5.0)
    made(DefaultRemoteCache, redis_server.config(), space).set("long", 2, 500.0)
    cache = made(DefaultHybridCache, redis_server.config(local_ttl_seconds=100.0), space)
    assert (cache.get("short"), cache.get("long")) == (1, 2)
    local = cache._local
    assert 0 < local.find("short").ttl <= 5.0
    assert local.find("long").ttl == 100.0


def test_read_through_and_write_through(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-27: Redis is asked for what memory has not, once; what is set is in both."""
    cache = made(DefaultHybridCache, redis_server.config(), space)
    other = made(DefaultRemoteCache, redis_server.config(), space)
    other.set("k", 1)
    assert cache.get("k") == 1
    other.set("k", 2)
    assert cache.get("k") == 1, "from memory"
    cache.set("k", 3)
    assert in_redis(redis_server, space) == {"k": 3}


def test_redis_alone(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-28: with local_max_size=0 every get asks Redis, so what another process changes is seen at once."""
    cache = made(CacheFactory.create, redis_server.config(local_max_size=0), space)
    other = made(CacheFactory.create, redis_server.config(local_max_size=0), space)
    assert isinstance(cache, DefaultRemoteCache)
    for value in (1, 2, 3):
        other.set("k", value)
        assert cache.get("k") == value
        assert cache.get_nowait("k") == value


def test_which_cache_a_configuration_means(redis_server: RedisServer, made: Any) -> None:
    """KSP-25 to KSP-28: memory, Redis, both, or none."""
    local, hybrid = made(CacheFactory.create), made(CacheFactory.create, redis_server.config())
    none = made(CacheFactory.create, CacheConfig(local_max_size=0))
    assert isinstance(local, DefaultLocalCache)
    assert isinstance(hybrid, DefaultHybridCache)
    none.set("k", 1)
    assert (none.get("k"), none.size) == (None, 0)
    with pytest.raises(ConfigurationError, match="local_max_size"):
        DefaultHybridCache(redis_server.config(local_max_size=0))


# --- without waiting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DefaultRemoteCache, DefaultHybridCache])
def test_asked_without_waiting(kind: Any, redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-5, KSP-27: a miss at first, the answer when the background has it; what is set is known at once, here."""
    other = made(DefaultRemoteCache, redis_server.config(), space)
    other.set("theirs", 4)
    cache = made(kind, redis_server.config(), space)
    assert cache.get_nowait("theirs") is None
    wait_for(lambda: cache.get_nowait("theirs") == 4, "the value from Redis")
    cache.set_nowait("mine", 5)
    assert cache.get_nowait("mine") == 5
    wait_for(lambda: other.get("mine") == 5, "the value in Redis")


def test_what_was_chosen_meanwhile_stays(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-8: an answer of Redis that comes late does not replace what this process chose in between."""
    made(DefaultRemoteCache, redis_server.config(), space).set("k", 1)
    cache = made(DefaultHybridCache, redis_server.config(), space)
    asked, go = threading.Event(), threading.Event()
    read = cache._remote._store.read

    def slowly(keys: list[str]) -> Any:
        found = read(keys)
        asked.set()
        assert go.wait(20)
        return found

    cache._remote._store.read = slowly
    assert cache.get_nowait("k") is None
    assert asked.wait(20)
    cache.set_nowait("k", 2)
    go.set()
    wait_for(lambda: in_redis(redis_server, space) == {"k": 2}, "our own value in Redis")
    assert cache.get_nowait("k") == 2


def test_the_first_one_stays(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-8, KSP-26: who is told to be the first gives way to who was, whose time counts anew; this process has its
    own."""
    other = made(DefaultRemoteCache, redis_server.config(), space)
    other.set("theirs", 1, ttl=5.0)
    cache = made(DefaultHybridCache, redis_server.config(), space)
    cache.set_nowait("theirs", 2, ttl=500.0, first=True)
    cache.set_nowait("ours", 3, first=True)
    wait_for(lambda: other.get("ours") == 3, "the value that nobody had")
    found = other.find("theirs")
    assert found is not None
    assert found.value == 1
    assert found.remaining is not None
    assert found.remaining > 100
    assert cache.get_nowait("theirs") == 2
    cache.set_nowait("theirs", 4)
    cache.set_nowait("theirs", 5, first=True)
    wait_for(lambda: other.get("theirs") == 4, "what was set, whoever was first")


def test_what_is_in_use_is_kept(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-8: a value that is renewed outlives its time in memory and in Redis, and one that is not does not."""
    config = redis_server.config(local_ttl_seconds=1.0, remote_ttl_seconds=2.0)
    cache = made(DefaultHybridCache, config, space)
    cache.set_nowait("used", 1)
    cache.set_nowait("unused", 2)
    with redis_server.client() as client:
        wait_for(lambda: client.exists(f"superclient:{space}:unused"), "the write")

        def over() -> bool:
            if cache.get_nowait("used", renew=True) is None:
                cache.set_nowait("used", 1)  # this machine was away for a second
            return not client.exists(f"superclient:{space}:unused")

        wait_for(over, "the end of the other one")
        wait_for(lambda: client.exists(f"superclient:{space}:used"), "the value in use")
    assert cache.get_nowait("unused") is None


def test_too_much_is_dropped_and_counted(
    redis_server: RedisServer, space: str, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KSP-32, KSP-30: what waits for a Redis that hangs is bounded, by keys, and nobody waits with it."""
    monkeypatch.setattr(background, "MOST_PENDING", 10)
    cache = made(DefaultRemoteCache, redis_server.config(), space)
    go = threading.Event()
    monkeypatch.setattr(cache._store, "write", lambda values: go.wait(20))
    cache.set_nowait("first", 0)
    wait_for(lambda: not cache._background._pending, "the thread at work")
    for number in range(100):
        cache.set_nowait("second", number)
    assert cache._background._wakes.qsize() == 1
    for number in range(5000):
        cache.set_nowait(f"key {number % 30}", number)
        cache.get_nowait(f"absent {number % 30}")
    assert len(cache._background._pending) == 10
    assert cache._background._wakes.qsize() == 1
    assert cache.dropped > 5000
    assert cache._memory.size <= 32
    go.set()


def test_no_thread_stays_behind(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-32: the thread comes with the first work, and goes when its cache is closed, or dropped."""

    def threads() -> int:
        return sum(thread.name == "superclient-cache" for thread in threading.enumerate())

    before = threads()
    cache = DefaultHybridCache(redis_server.config(), space)
    assert threads() == before
    cache.set_nowait("k", 1)
    assert threads() == before + 1
    del cache
    wait_for(lambda: threads() == before, "the end of the thread")
    closed = made(DefaultHybridCache, redis_server.config(), space)
    closed.set_nowait("k", 2)
    closed.close()
    assert threads() == before
    assert in_redis(redis_server, space) == {"k": 2}, "what was pending was done"
    closed.set_nowait("k", 3)
    closed.set("k", 3)
    assert (closed.get("k"), closed.get_nowait("k")) == (None, None)
    closed.delete("k")
    closed.clear()
    assert in_redis(redis_server, space) == {"k": 2}
    with pytest.raises(CacheUnavailableError, match="closed"):
        closed.ping()
    closed.close()


# --- several processes ------------------------------------------------------------------------------------------------


def _in_another(config: CacheConfig, space: str, done: Any) -> None:
    cache = CacheFactory.create(config, space)
    done.put(cache.get("parent"))
    cache.set("child", [os.getpid()])
    cache.close()


def test_two_processes_share(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-26, KSP-27: each sees what the other one set."""
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    cache = made(CacheFactory.create, redis_server.config(), space)
    cache.set("parent", 1)
    child = context.Process(target=_in_another, args=(redis_server.config(), space, done))
    child.start()
    assert done.get(timeout=60) == 1
    child.join(60)
    assert cache.get("child") == [child.pid]


FORKED = """
    import os, time, threading
    from superclient.smart.cache import store
    from superclient.smart.cache.hybrid import DefaultHybridCache
    from superclient.smart.config import CacheConfig

    store.TIMEOUT = 20.0

    def seen(cache, key, value):
        for _ in range(600):
            if cache.get_nowait(key) == value:
                return True
            time.sleep(0.05)

    cache = DefaultHybridCache(CacheConfig(remote_enabled=True, redis_host="127.0.0.1", redis_port={port}), {space!r})
    cache.set_nowait("parent", 1)
    cache.set("both", 2)
    held, forked, breaker = threading.Event(), threading.Event(), cache._remote._store._breaker
    breaker._broken = True  # so that the next one asks for its lock

    def hold():  # another thread is in the middle of everything at the moment of the fork
        with cache._remote._background._lock, breaker._lock:
            held.set()
            forked.wait()

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    child = os.fork()
    if child == 0:
        assert cache.get("both") == 2
        cache._local.clear()
        assert cache.get("both") == 2
        cache.set_nowait("child", 3)
        cache._local.clear()
        assert seen(cache, "child", 3)
        os._exit(7)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print("child done")
    """


def test_a_forked_child_goes_on(redis_server: RedisServer, space: str) -> None:
    """KSP-26: with connections and a thread of its own, also when a thread of the parent held a lock."""
    root = str(Path(__file__).resolve().parents[2])
    program = FORKED.format(port=redis_server.port, space=space)
    env = {"SUPERSTREAM_DISABLED": "true", "PYTHONPATH": root}
    done = run_program(Path(sys.executable), program, env=env, options=["-W", "ignore"])
    assert (done.stdout, done.stderr) == ("child done\n", "")


# --- let in, or not ---------------------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", [DefaultRemoteCache, DefaultHybridCache])
def test_password_and_certificates(kind: Any, secure_redis: SecureRedis, space: str, made: Any) -> None:
    """KSP-26, KSP-29: password, TLS and a client's certificate reach Redis."""
    cache = made(kind, secure_redis.config(), space)
    cache.ping()
    cache.set("k", 1)
    assert in_redis(secure_redis, space) == {"k": 1}


REFUSED = {
    "no password": {"redis_password": None},
    "another password": {"redis_password": "wrong-secret-words"},
    "no TLS": {"redis_ssl_enabled": False},
    "no authority": {"redis_ssl_ca_certs": None},
    "another authority": {"redis_ssl_ca_certs": "other_ca"},
    "no certificate": {"redis_ssl_certfile": None, "redis_ssl_keyfile": None},
    "no such file": {"redis_ssl_ca_certs": "/nowhere/ca.pem"},
    "a key that is none": {"redis_ssl_keyfile": "ca_file"},
}


@pytest.mark.parametrize("how", REFUSED)
def test_not_let_in(
    how: str, secure_redis: SecureRedis, space: str, made: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KSP-26, KSP-29: whatever is wrong about password or TLS, it is misses and one warning, without the password."""
    if how == "no TLS":
        monkeypatch.setattr(store, "TIMEOUT", 0.5)  # it waits for a greeting that we would never send
    options = {
        name: getattr(secure_redis, value) if value in ("other_ca", "ca_file") else value
        for name, value in REFUSED[how].items()
    }
    cache = made(DefaultHybridCache, secure_redis.config(**options), space)
    for _ in range(3):
        cache.set("k", 1)
        cache._local.clear()
        assert cache.get("k") is None
        cache.set_nowait("k", 1)
    assert len(warnings(caplog)) == 1
    assert f"Redis at 127.0.0.1:{secure_redis.port}" in caplog.text
    assert "secret-words" not in f"{caplog.text} {cache!r} {cache._remote._store.__dict__!r}"
    with pytest.raises(CacheError) as caught:
        cache.ping()
    assert "secret-words" not in str(caught.value)


def test_no_error_tells_the_password(redis_server: RedisServer, space: str, monkeypatch: Any, caplog: Any) -> None:
    """AGT-42: whatever a library or a server says, the password is not in what we say."""
    held = RedisStore(redis_server.config(redis_password="redis-secret-words"), space)
    monkeypatch.setattr(held._client, "pipeline", lambda **options: _Telling())
    with pytest.raises(CacheUnavailableError, match=r"AUTH \*+ failed") as caught:
        held.read(["k"])
    assert "secret-words" not in f"{caught.value} {caplog.text} {caught.value.__cause__}"
    held.close()


class _Telling:
    """A client that says too much."""

    def execute_command(self, *command: Any) -> None:
        raise OSError("AUTH redis-secret-words failed")


def test_the_server_is_checked_unless_that_is_off(secure_redis: SecureRedis, space: str, made: Any) -> None:
    """KSP-29: redis_ssl_cert_reqs="none" takes any server; the others its authority's, and its name, alone."""
    unchecked = {"redis_ssl_ca_certs": None, "redis_ssl_cert_reqs": "none"}
    made(DefaultRemoteCache, secure_redis.config(**unchecked), space).ping()
    for reqs in ("required", "optional"):
        made(DefaultRemoteCache, secure_redis.config(redis_ssl_cert_reqs=reqs), space).ping()
        wrong = secure_redis.config(redis_ssl_cert_reqs=reqs, redis_ssl_ca_certs=secure_redis.other_ca)
        with pytest.raises(CacheUnavailableError, match=r"(?i)certificate"):
            made(DefaultRemoteCache, wrong, space).ping()


def test_the_servers_name_is_checked(secure_redis: SecureRedis, space: str, made: Any) -> None:
    """KSP-29: a certificate for another name than redis_host is none, unless nothing is checked."""
    alias = "127.1"  # getaddrinfo takes it for 127.0.0.1, and no certificate names it
    made(DefaultRemoteCache, secure_redis.config(redis_host=alias, redis_ssl_cert_reqs="none"), space).ping()
    with pytest.raises(CacheUnavailableError, match=r"(?i)certificate.*127\.1"):
        made(DefaultRemoteCache, secure_redis.config(redis_host=alias), space).ping()


# --- away -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DefaultRemoteCache, DefaultHybridCache])
def test_away_and_back(kind: Any, fresh_redis: RedisServer, space: str, made: Any, caplog: Any) -> None:
    """KSP-26, KSP-27: killed in the middle it is misses, said once; when it is back, it is used again."""
    caplog.set_level(logging.INFO)
    cache = made(kind, fresh_redis.config(), space)
    cache.set("k", 1)
    fresh_redis.kill()
    memory = cache._local if kind is DefaultHybridCache else cache._memory
    memory.clear()
    for _ in range(20):
        assert cache.get("k") is None
        cache.set("k", 1)
        cache.delete("k")
        cache.set_nowait("n", 2)
        cache.clear()
    assert len(warnings(caplog)) == 1
    fresh_redis.start()

    def back() -> bool:
        cache.set("k", 3)
        memory.clear()
        return cache.get("k") == 3

    wait_for(back, "the cache to find Redis again", timeout=60)
    assert in_redis(fresh_redis, space) == {"k": 3}
    cache.set_nowait("n", 4)
    wait_for(lambda: in_redis(fresh_redis, space).get("n") == 4, "the background to find it too")
    assert len(warnings(caplog)) == 1
    assert "is back" in caplog.text


def test_a_restart_between_two_calls_is_not_noticed(fresh_redis: RedisServer, space: str, made: Any) -> None:
    """KSP-26: a connection that Redis closed meanwhile costs no miss."""
    cache = made(DefaultRemoteCache, fresh_redis.config(), space)
    cache.ping()
    fresh_redis.stop()
    fresh_redis.start()
    cache.set("k", 1)
    assert cache.get("k") == 1


def test_what_hangs_is_left_alone(fresh_redis: RedisServer, space: str, made: Any, monkeypatch: Any) -> None:
    """KSP-5, KSP-30: after one time-out nobody waits for a Redis that hangs, until one caller tries again."""
    monkeypatch.setattr(store, "TIMEOUT", 0.3)
    now = [1000.0]
    asked: list[int] = []
    held = RedisStore(fresh_redis.config(), space, clock=lambda: now[0])
    fresh_redis.pause()
    monkeypatch.setattr(held._client, "pipeline", _counting(held._client.pipeline, asked))
    with pytest.raises(CacheTimeoutError):
        held.read(["k"])
    for _ in range(1000):
        with pytest.raises(CacheUnavailableError):
            held.read(["k"])
    assert (len(asked), held.down) == (1, True)
    now[0] += store.RETRY * 1.5
    assert not held.down
    for _ in range(100):
        with pytest.raises(CacheError):
            held.read(["k"])
    assert len(asked) == 2
    now[0] += store.RETRY * 1.5
    with pytest.raises(CacheUnavailableError):
        held.read(["k"])
    assert len(asked) == 2, "the next try comes later than the one before"
    fresh_redis.resume()
    monkeypatch.setattr(store, "TIMEOUT", 20.0)
    held.anew()
    assert held.read(["k"]) == {}
    held.close()


def _counting(pipeline: Callable[..., Any], asked: list[int]) -> Callable[..., Any]:
    def counted(**options: Any) -> Any:
        asked.append(1)
        return pipeline(**options)

    return counted


def test_never_there(space: str, made: Any, caplog: Any) -> None:
    """KSP-26: constructing connects to nothing; a port that refuses, or a name that is none, is misses, said once."""
    with refused_port() as port:
        for host in ("127.0.0.1", "no-such-host.invalid", "x" * 300):
            caplog.clear()
            cache = made(DefaultHybridCache, CacheConfig(remote_enabled=True, redis_host=host, redis_port=port), space)
            assert warnings(caplog) == []
            for _ in range(3):
                assert cache.get("k") is None
                assert cache.get_nowait("k") is None
            assert len(warnings(caplog)) == 1


def test_coming_and_going_is_told_once_a_minute(space: str, caplog: Any, monkeypatch: Any) -> None:
    """KSP-26: a Redis that flaps fills no log, and one that stays away is told of all the same."""
    now = [1000.0]
    with refused_port() as port:
        config = CacheConfig(remote_enabled=True, redis_host="127.0.0.1", redis_port=port)
        held = RedisStore(config, space, clock=lambda: now[0])
        for outage in range(20):
            now[0] += 1.5 * store.RETRY
            with pytest.raises(CacheError):
                held.read(["k"])
            if outage < 19:
                with monkeypatch.context() as there:
                    there.setattr(held, "_client", _There())
                    now[0] += 1.5 * store.RETRY
                    held.read([])
        assert len(warnings(caplog)) == 1
        now[0] += store.QUIET
        with pytest.raises(CacheError):
            held.read(["k"])
        assert len(warnings(caplog)) == 2
        held.close()


class _There:
    """A Redis that has an answer to nothing."""

    def pipeline(self, **options: Any) -> _There:
        return self

    def execute(self, **options: Any) -> list[Any]:
        return []


def test_a_redis_that_refuses_writes(fresh_redis: RedisServer, space: str, made: Any, caplog: Any) -> None:
    """KSP-26: out of memory it still is read, the refusal is said once, and nothing is raised."""
    cache = made(DefaultRemoteCache, fresh_redis.config(), space)
    cache.set("k", 1)
    with fresh_redis.client() as client:
        client.config_set("maxmemory", "1")
    for _ in range(3):
        cache.set("other", 2)
    assert cache.get("k") == 1
    assert len(warnings(caplog)) == 1
    assert "refuses" in caplog.text


def test_an_address_that_answers_nonsense(space: str, made: Any, monkeypatch: Any, caplog: Any) -> None:
    """KSP-26: somebody who takes connections and says nothing is a time-out, said once."""
    monkeypatch.setattr(store, "TIMEOUT", 0.3)
    with silent_port() as port:
        config = CacheConfig(remote_enabled=True, redis_host="127.0.0.1", redis_port=port)
        cache = made(DefaultRemoteCache, config, space)
        with pytest.raises(CacheTimeoutError):
            cache.ping()
        assert cache.get("k") is None
    assert len(warnings(caplog)) == 1


# --- each option does something ---------------------------------------------------------------------------------------


def test_local_options(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-29, KSP-25: local_max_size and local_ttl_seconds bound what is in memory, in front of Redis too."""
    for config in (CacheConfig(local_max_size=3), redis_server.config(local_max_size=3)):
        cache = made(CacheFactory.create, config, space)
        for number in range(10):
            cache.set_nowait(str(number), number)
        assert [cache.get_nowait(str(number)) for number in range(7, 10)] == [7, 8, 9]
        assert getattr(cache, "_local", cache).size == 3
    short = made(CacheFactory.create, redis_server.config(local_ttl_seconds=0.2), space)
    other = made(DefaultRemoteCache, redis_server.config(), space)
    short.set("k", 1)
    other.set("k", 2)
    wait_for(lambda: short.get("k") == 2, "memory to forget, so that Redis is asked")


def test_remote_options(fresh_redis: RedisServer, redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-29: remote_enabled, remote_ttl_seconds, redis_port and redis_db; host, password and TLS are above."""
    config = redis_server.config(remote_ttl_seconds=50.0, redis_db=2)
    made(CacheFactory.create, config, space).set("k", 1)
    with redis_server.client() as client:
        assert not client.exists(f"superclient:{space}:k")
        client.select(2)
        assert 0 < client.pttl(f"superclient:{space}:k") <= 50_000
    assert made(CacheFactory.create, config, space).get("k") == 1
    assert made(CacheFactory.create, fresh_redis.config(redis_db=2), space).get("k") is None
    assert made(CacheFactory.create, CacheConfig(redis_port=redis_server.port, redis_db=2), space).get("k") is None


# --- the extra --------------------------------------------------------------------------------------------------------

WITHOUT_REDIS = """
    from superclient.smart.cache.factory import CacheFactory
    from superclient.smart.cache.hybrid import DefaultHybridCache
    from superclient.smart.cache.redis import DefaultRemoteCache
    from superclient.smart.config import CacheConfig

    CacheFactory.create(CacheConfig()).set("k", 1)
    for make in (CacheFactory.create, DefaultRemoteCache, DefaultHybridCache):
        try:
            make(CacheConfig(remote_enabled=True))
        except ImportError as missing:
            print(missing)
    """


def test_without_redis_py() -> None:
    """KSP-33: it is asked for only where Redis is, when the cache is made, with the line that installs it."""
    done = run_program(environment(extras=("smart",)), WITHOUT_REDIS, env={"SUPERSTREAM_DISABLED": "true"})
    assert done.stdout.splitlines() == ["remote_enabled=True needs redis: pip install 'superclient[redis]'"] * 3
    assert done.stderr == ""


VERSIONS = """
    import sys, time, redis
    from pathlib import Path
    from superclient.smart.cache import store
    from superclient.smart.cache.hybrid import DefaultHybridCache
    from superclient.smart.cache.redis import DefaultRemoteCache
    from superclient.smart.config import CacheConfig

    store.TIMEOUT = 20.0
    port, folder, space = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    files = {f"redis_ssl_{name}": folder / file for name, file in
             (("ca_certs", "ca.pem"), ("certfile", "client.pem"), ("keyfile", "client.key"))}
    settings = {"remote_enabled": True, "redis_host": "127.0.0.1", "redis_port": port, "redis_ssl_enabled": True}
    config = CacheConfig(**settings, **files, redis_password="redis-secret-words")
    one, two = DefaultRemoteCache(config, space), DefaultHybridCache(config, space)
    one.set("k", {"a": [1]}, 50.0)
    print(redis.__version__, two.get("k"), two.get("absent"))
    two.set_nowait("n", 1)
    for _ in range(600):
        if one.get("n") == 1:
            break
        time.sleep(0.05)
    print(one.get("n"))
    one.clear()
    print(one.get("n"))
    for config in (CacheConfig(**settings, **files), CacheConfig(**settings, redis_password="redis-secret-words")):
        wrong = DefaultHybridCache(config, space)
        wrong.set("k", 1)
        wrong._local.clear()
        print(wrong.get("k"))
        wrong.close()
    one.close()
    two.close()
    """


@pytest.mark.parametrize("version", ["5.0.1", pytest.param("6.4.0", marks=MATRIX), pytest.param("7.1.0", marks=MATRIX)])
def test_versions_of_redis_py(version: str, secure_redis: SecureRedis, space: str) -> None:
    """KSP-26: every version of redis-py that the extra allows works the same, the oldest too."""
    python = environment(packages=[f"redis=={version}"], extras=("smart",))
    arguments = (str(secure_redis.port), str(secure_redis.folder), space)
    done = run_program(python, VERSIONS, *arguments, env={"SUPERSTREAM_DISABLED": "true"}, options=["-W", "error"])
    assert done.stdout == f"{version} {{'a': [1]}} None\n1\nNone\nNone\nNone\n", done.stderr
    assert len(done.stderr.splitlines()) == 2, "one warning each"


def test_the_caches_keep_the_protocol(redis_server: RedisServer, space: str, made: Any) -> None:
    """KSP-25 to KSP-27: whatever CacheFactory answers can be used as a Cache, by many threads at once."""
    caches: list[Cache] = [
        made(CacheFactory.create, CacheConfig(local_max_size=20)),
        made(CacheFactory.create, redis_server.config(local_max_size=20), space),
        made(CacheFactory.create, redis_server.config(local_max_size=0), space),
    ]
    problems: list[BaseException] = []

    def use(cache: Cache, seed: int) -> None:
        try:
            for number in range(300):
                key = str((number * seed) % 40)
                cache.set_nowait(key, int(key))
                assert cache.get_nowait(key, renew=True) in (None, int(key))
                if number % 10 == 0:
                    assert cache.get(key) in (None, int(key))
                    cache.set(key, int(key))
                if number % 50 == 0:
                    cache.delete(key)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=use, args=(cache, seed)) for cache in caches for seed in (1, 3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
