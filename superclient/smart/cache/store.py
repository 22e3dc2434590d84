"""The store that all processes share: one namespace of one Redis database, with a circuit breaker."""

import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from superclient import _backoff
from superclient.errors import CacheError, CacheTimeoutError, CacheUnavailableError
from superclient.redact import MASK
from superclient.smart.cache.base import Value
from superclient.smart.cache.forks import renew_in_children
from superclient.smart.config import CacheConfig

log = logging.getLogger("superclient.smart.cache")

TIMEOUT = 0.5
"""Seconds that connecting, and each answer, may take: Redis is next door, or it is no cache. Looking up its name may
take longer, if the system's resolver does."""
RETRY, LONGEST_RETRY = 1.0, 30.0
"""Seconds after a failure, and after many, until Redis is asked again."""
QUIET = 60.0
"""Seconds between two warnings that Redis is away, should it come and go."""
VERSION = 1
"""Of how values are written; another version's are a miss."""
LONGEST_TTL = 10 * 365 * 86400.0
_CONNECTIONS = 4


class Found(NamedTuple):
    """A value, and for how many seconds more Redis keeps it (None: for ever)."""

    value: Value
    remaining: float | None


class RedisStore:
    """One namespace of one Redis database. Connects when first asked; raises the CacheError family alone.

    After a failure everybody is refused at once, until somebody may try again: a dead Redis costs a time-out every few
    seconds, not with every call.

    Raises:
        ImportError: redis-py is not installed.
    """

    def __init__(self, config: CacheConfig, namespace: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            import redis
        except ImportError as missing:
            raise ImportError(
                "remote_enabled=True needs redis: pip install 'superclient[redis]'", name="redis"
            ) from missing
        self._redis: Any = redis
        self._config, self._clock = config, clock
        self._prefix = f"superclient:{namespace}:"
        self._complaints: set[str] = set()
        self._told, self._warned = False, -math.inf  # of the outage that lasts, and when of any
        self._closed = False
        self.anew()
        renew_in_children(self)

    def anew(self) -> None:
        """See Forkable.anew."""
        self._breaker = _Breaker(self._clock)
        self._client = self._redis.Redis(connection_pool=self._pool())

    @property
    def down(self) -> bool:
        """Whether it is no use to ask just now."""
        return self._breaker.open

    def read(self, keys: Sequence[str]) -> dict[str, Found]:
        """Those of the values that are there; somebody else's data under a name of ours is not."""
        commands: list[tuple[Any, ...]] = []
        for key in keys:
            commands += [("GET", self._name(key)), ("PTTL", self._name(key))]
        replies = self.run(commands)
        found = {}
        for key, raw, left in zip(keys, replies[::2], replies[1::2], strict=True):
            value = decoded(raw) if isinstance(raw, bytes) else None
            if value is not None and isinstance(left, int):
                found[key] = Found(value, left / 1000 if left >= 0 else None)
        return found

    def write(self, values: Mapping[str, tuple[str, float, bool]]) -> None:
        """Key → value as `encoded`, its time to live in seconds, and whether what is there already stays instead."""
        commands: list[tuple[Any, ...]] = []
        for key, (text, ttl, first) in values.items():
            name, left = self._name(key), max(1, round(min(ttl, LONGEST_TTL) * 1000))
            commands.append(("SET", name, text, "PX", left, *(("NX",) if first else ())))
            if first:
                commands.append(("PEXPIRE", name, left))
        self.run(commands)

    def delete(self, key: str) -> None:
        """Forget one value."""
        self.run([("DEL", self._name(key))])

    def clear(self) -> None:
        """Forget everything of this namespace."""
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + "*"
        cursor = 0
        while True:
            (reply,) = self.run([("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)])
            if isinstance(reply, Exception):
                return
            cursor, names = int(reply[0]), reply[1]
            if names:
                self.run([("DEL", *names)])
            if cursor == 0:
                return

    def run(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One round trip for all of them; where Redis refused a command its reply is an exception.

        Raises:
            CacheTimeoutError: no answer in time.
            CacheUnavailableError: no connection, no rights, the last failure was a moment ago, or this was closed.
        """
        if self._closed:
            raise CacheUnavailableError("the cache is closed")
        if not self._breaker.may_try():
            raise CacheUnavailableError(f"Redis at {self._where} is away")
        try:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        except Exception as problem:  # of redis-py, of the socket, of TLS, of a certificate that is not there
            raise self._failed(problem) from None
        self._breaker.worked()
        if self._told:
            self._told = False
            log.info("Redis at %s is back", self._where)
        for reply in replies:
            if isinstance(reply, Exception):
                self._refused(reply)
        return replies

    def close(self) -> None:
        """Close the connections for good; raises nothing."""
        self._closed = True
        try:
            self._client.connection_pool.disconnect()
        except Exception as problem:  # a socket that is broken already
            log.debug("closing the connections to Redis: %r", problem)

    @property
    def _where(self) -> str:
        return f"{self._config.redis_host}:{self._config.redis_port}"

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _failed(self, problem: Exception) -> CacheError:
        reason = f"Redis at {self._where}: {self._without_password(problem)}"
        self._breaker.failed()
        if not self._told and self._clock() - self._warned >= QUIET:
            self._told, self._warned = True, self._clock()
            log.warning("caching goes on without %s", reason)
        slow = isinstance(problem, (self._redis.TimeoutError, TimeoutError))
        return CacheTimeoutError(reason) if slow else CacheUnavailableError(reason)

    def _refused(self, problem: Exception) -> None:
        kind = str(problem).partition(" ")[0]
        if kind != "WRONGTYPE" and kind not in self._complaints and len(self._complaints) < 20:
            self._complaints.add(kind)
            log.warning("Redis at %s refuses a command: %s", self._where, self._without_password(problem))

    def _without_password(self, problem: Exception) -> str:
        text = str(problem) or type(problem).__name__
        return text.replace(self._config.redis_password, MASK) if self._config.redis_password else text

    def _pool(self) -> Any:
        config, redis = self._config, self._redis
        settings: dict[str, Any] = {
            "host": config.redis_host,
            "port": config.redis_port,
            "db": config.redis_db,
            "password": config.redis_password,
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            # Once and at once: a connection that Redis closed since it was last used.
            "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 1, (redis.ConnectionError,)),
            "protocol": 2,
        }
        if config.redis_ssl_enabled:
            settings |= {
                "connection_class": redis.SSLConnection,
                "ssl_cert_reqs": config.redis_ssl_cert_reqs,
                "ssl_check_hostname": config.redis_ssl_cert_reqs != "none",
                "ssl_ca_certs": _path(config.redis_ssl_ca_certs),
                "ssl_certfile": _path(config.redis_ssl_certfile),
                "ssl_keyfile": _path(config.redis_ssl_keyfile),
            }
        return redis.BlockingConnectionPool(max_connections=_CONNECTIONS, timeout=TIMEOUT, **settings)


def encoded(value: Value) -> str:
    """As it is written into Redis.

    Raises:
        TypeError: what is no JSON, or would come back as something else (a tuple, a dict whose keys are no strings).
    """
    _check(value)
    return json.dumps({"superclient": VERSION, "value": value}, separators=(",", ":"))


def decoded(raw: bytes) -> Value:
    """What was written, or None where that was not by us, or by another version."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("superclient") != VERSION:
        return None
    value: Value = document.get("value")
    return value


def _check(value: object) -> None:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a cached dict must be strings, for they come back as such")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check(each)
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"a {type(value).__name__} cannot be cached: it is no JSON")


def _path(path: Any) -> str | None:
    return None if path is None else str(path)


class _Breaker:
    """Whether it is worth asking; after a failure one caller at a time may, and later each time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # reentrant: the garbage collector may come by here, too
        self._until = 0.0
        self._delays = _backoff.delays(RETRY, LONGEST_RETRY, jitter=0.2)
        self._broken = False

    @property
    def open(self) -> bool:
        return self._broken and self._clock() < self._until

    def may_try(self) -> bool:
        if not self._broken:
            return True
        with self._lock:
            if self._clock() < self._until:
                return False
            self._until = self._clock() + RETRY  # for the others, until this one knows
            return True

    def failed(self) -> None:
        """It did not work."""
        with self._lock:
            self._broken, self._until = True, self._clock() + next(self._delays)

    def worked(self) -> None:
        """It worked."""
        if self._broken:
            with self._lock:
                self._broken, self._delays = False, _backoff.delays(RETRY, LONGEST_RETRY, jitter=0.2)
