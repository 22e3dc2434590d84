"""What all caches of `superclient.smart` have in common: strings as keys, JSON values, and nothing that fails.

A store that is away, slow or full of somebody else's data is a miss, logged once. Two faces:

    get, set, delete, clear     may wait for Redis, at most for its short time-outs: for threads of superclient's own
    get_nowait, set_nowait      never wait for anything but memory: for `produce`, and for an event loop

A cache in memory alone never waits, so there the two are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

Value: TypeAlias = bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"] | None
"""What JSON can hold, so that a value is the same whichever way it went: dict, list, str, int, float, bool. None is
"not there". What a cache gave is shared with others: read it, never change it."""


class Cache(Protocol):
    """Remembers values for a while. Thread-safe, usable in a forked child; bounded in memory."""

    def get(self, key: str) -> Value:
        """The value, or None where there is none (any more). May wait for Redis."""
        ...

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Remember a value for `ttl` seconds (fractions count; None: as configured). May wait for Redis.

        Raises:
            TypeError: what is no JSON could not be given to another process.
        """
        ...

    def get_nowait(self, key: str, *, renew: bool = False) -> Value:
        """The value if it is in memory, else None; then it is fetched in the background, for the next time.

        `renew` counts the time anew for what is still in use, here and in Redis: it is forgotten when nobody asked for
        it during a whole ttl (within a quarter of one: not every look costs a write).
        """
        ...

    def set_nowait(self, key: str, value: Value, ttl: float | None = None, *, first: bool = False) -> None:
        """As `set`, in memory at once; Redis learns it in the background, and never where it is away.

        `first`: what Redis has already stays, and its time counts anew; so of several who are first at the same time
        all but those themselves go by one.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget one value, everywhere. May wait for Redis."""
        ...

    def clear(self) -> None:
        """Forget all values of this cache's namespace, everywhere. May wait for Redis, for longer."""
        ...

    def close(self) -> None:
        """Let go of connections and threads; what Redis has, it keeps. Afterwards everything is a miss. Idempotent."""
        ...
