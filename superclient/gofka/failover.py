"""The brokers of a list, one after the other, and how long to wait in between."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from superclient._backoff import delays
from superclient.gofka.wire import BrokerError, Kind

T = TypeVar("T")

_JITTER = 0.25
_BROKER = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s/@:,\[\]]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try again, and how long to wait before: min(initial · multiplier^n, max), ± 25 % with jitter.

    Attributes:
        max_retries: attempts after the first one.
        initial_backoff_ms, max_backoff_ms: milliseconds.
        backoff_multiplier: from one wait to the next.
        jitter: spreads the waits, so that many clients do not come back together.

    Raises ValueError for numbers that cannot be meant.
    """

    max_retries: int = 3
    initial_backoff_ms: float = 100
    max_backoff_ms: float = 30_000
    backoff_multiplier: float = 2.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries is 0 or more; it is {self.max_retries!r}")
        if not 0 < self.initial_backoff_ms <= self.max_backoff_ms:
            raise ValueError("initial_backoff_ms is above 0 and at most max_backoff_ms")
        if not self.backoff_multiplier >= 1:
            raise ValueError(f"backoff_multiplier is 1 or more; it is {self.backoff_multiplier!r}")

    def delays(self) -> Iterator[float]:
        """Seconds to wait before each further attempt; as many as there may be."""
        return islice(
            delays(
                self.initial_backoff_ms / 1000,
                self.max_backoff_ms / 1000,
                factor=self.backoff_multiplier,
                jitter=_JITTER if self.jitter else 0.0,
            ),
            self.max_retries,
        )


def parsed(brokers: str | Sequence[str]) -> list[tuple[str, int]]:
    """("host:port", …), or one text with commas → (host, port). Raises ValueError for anything else."""
    found = []
    for text in brokers.split(",") if isinstance(brokers, str) else brokers:
        match = _BROKER.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None or not 0 < int(match["port"]) < 65536:
            shown = "another" if "@" in str(text) else repr(text)  # what is before that may be a password
            raise ValueError(f'a broker is "host:port", "[host]:port" for IPv6; this is {shown}')
        found.append((match["six"] or match["host"], int(match["port"])))
    if not found:
        raise ValueError("at least one broker is needed")
    return found


class BrokerFailoverManager:
    """Finds a broker that does what is asked, beginning with the one that did so last.

    Args:
        brokers: "host:port" of each.
        retry_policy: how often the whole list is tried again.
    """

    def __init__(self, brokers: str | Sequence[str], retry_policy: RetryPolicy | None = None) -> None:
        self.brokers = parsed(brokers)
        self.retry_policy = retry_policy or RetryPolicy()
        self.current = 0  # index of the broker that did it last

    async def execute_with_failover(self, func: Callable[[str, int], Awaitable[T]]) -> T:
        """What `func(host, port)` returns for the first broker for which it does not fail.

        An OSError (ConnectionError, ours too, and TimeoutError are), asyncio's TimeoutError and "not the leader" mean
        the next broker: what `func` does may so be done twice. Anything else is raised as it is. After a round without
        success there is a wait, as the policy says. Raises what the last broker of the last round said.
        """
        waits = self.retry_policy.delays()
        while True:
            first = self.current  # others may be at it too
            for index in (*range(first, len(self.brokers)), *range(first)):
                try:
                    done = await func(*self.brokers[index])
                    self.current = index
                    return done
                except (OSError, asyncio.TimeoutError) as error:
                    failure: Exception = error
                except BrokerError as error:
                    if error.kind is not Kind.NOT_LEADER:
                        raise
                    failure = error
            wait = next(waits, None)
            if wait is None:
                raise failure
            await asyncio.sleep(wait)
