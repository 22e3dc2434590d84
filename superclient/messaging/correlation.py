"""Which reply is whose, and where a request wants its replies. No I/O.

A request carries its correlation id in a header, in its key, or in both; a server copies them into its reply. Where the
id is the caller's own (`correlation_id`, `req_key`), somebody else may use the same one at the same time, so a random
token travels with it; a server of ours copies that too.
"""

import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

NAMES = ("request_id", "correlation_id", "x-correlation-id")  # headers of replies that hold the id, in any case
REPLY_TOPIC = "x-reply-topic"
TOKEN = "x-superclient-request"
ERROR_CODE = "x-error-code"
ERROR_MESSAGE = "x-error-message"

Headers = Sequence[tuple[str, bytes | None]]

_WAYS = ("key", "header", "both")
_REMEMBERED = 100_000  # keys that were used as ids, and for how many seconds
_SECONDS = 600.0
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def text(raw: object) -> str:
    """An id as text: of bytes (which need not be UTF-8), or of what a deserializer has made of them."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bytes | bytearray | memoryview):
        return bytes(raw).decode("utf-8", "backslashreplace")
    try:
        return str(raw)
    except Exception:  # a deserializer's object that cannot be shown is nobody's id
        return ""


def pairs(headers: "Mapping[str, Any] | Iterable[tuple[str, Any]] | None") -> list[tuple[str, bytes | None]]:
    """Headers as they travel, in their order, with duplicates; texts as UTF-8. Raises ValueError for anything else."""
    if not headers:
        return []
    found: list[tuple[str, bytes | None]] = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"a header is a pair of a name and bytes; this is {pair!r}")
        name, value = pair
        value = value.encode() if isinstance(value, str) else value
        if not isinstance(name, str) or not (value is None or isinstance(value, bytes)):
            raise ValueError(f"a header is a pair of a name and bytes; the value of {name!r} is a {_kind(value)}")
        found.append((name, value))
    return found


def checked_way(way: str) -> str:
    """The same. Raises ValueError for another one."""
    if way not in _WAYS:
        raise ValueError(f'propagate_corr_to is "key", "header" or "both"; it is {way!r}')
    return way


# --- the requester ---------------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its reply.

    Attributes:
        id: its correlation id.
        future: where the reply goes.
        token: what tells it from a request of somebody else's with the same id; None where the id is random.
        base: the req_key that its id was made of, because that itself was taken.
        header: lower-case name of the header that carries the id; None: the key alone does.
        expected: the type that was asked for.
        unfit: replies that were its own, and of which no parser made such a value.
        interrupt: ends its sending at once.
    """

    id: str
    future: Any
    token: str | None = None
    base: str | None = None
    header: str | None = None
    expected: Any = None
    unfit: int = 0
    interrupt: Any = None
    given: bool = field(init=False)

    def __post_init__(self) -> None:
        self.given = self.token is not None


class Unmatched(Enum):
    """Why a reply is nobody's."""

    ABSENT = "it has no correlation id"
    FOREIGN = "it is another requester's, or came late"
    AMBIGUOUS = "its key alone does not tell which request it answers"


class Waiters:
    """The requests that wait, and which of them a reply is for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_id: dict[str, Waiter] = {}
        self._by_token: dict[str, Waiter] = {}
        self._by_base: dict[str, list[Waiter]] = {}
        self._customs: dict[str, int] = {}  # lower-case names other than NAMES → requests that use them
        self._used: dict[str, tuple[float, bool]] = {}  # ids of callers' own → when they ended, whether all had a reply

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterable[Waiter]:  # type: ignore[misc]
        return iter(list(self._by_id.values()))

    def add(self, future: Any, explicit: str | None, key: object, expected: Any = None) -> Waiter:
        """A new one, whose id is the explicit one, else the key as text, else random.

        A key that is or was lately an id makes a new one of its own. Raises ValueError for an explicit id that waits.
        """
        base = None
        if explicit is not None:
            if not isinstance(explicit, str) or not explicit:
                raise ValueError(f"a correlation_id is a text of at least one character; it is {explicit!r}")
            if explicit in self._by_id:
                raise ValueError(f"a request with the correlation_id {explicit!r} is waiting already")
            chosen = explicit
        elif key is not None and (chosen := text(key)):
            if self._taken(chosen):
                base, chosen = chosen, f"{chosen}:{uuid.uuid4().hex}"
        else:
            chosen = uuid.uuid4().hex
            waiter = self._by_id[chosen] = Waiter(chosen, future, expected=expected)
            return waiter
        waiter = self._by_id[chosen] = Waiter(chosen, future, uuid.uuid4().hex, base, expected=expected)
        self._by_token[waiter.token or ""] = waiter
        if base is not None:
            self._by_base.setdefault(base, []).append(waiter)
        return waiter

    def send_in(self, waiter: Waiter, header: str | None) -> None:
        """The id travels in this header too; None: in the key alone."""
        waiter.header = header and header.lower()
        if waiter.header is not None and waiter.header not in NAMES:
            self._customs[waiter.header] = self._customs.get(waiter.header, 0) + 1

    def retire(self, waiter: Waiter) -> None:
        """It waits no more; nothing happens the second time."""
        if self._by_id.get(waiter.id) is not waiter:
            return
        del self._by_id[waiter.id]
        if waiter.header in self._customs:
            self._customs[waiter.header] -= 1
            if not self._customs[waiter.header]:
                del self._customs[waiter.header]
        if waiter.token is None:
            return
        del self._by_token[waiter.token]
        if waiter.base is not None:
            self._by_base[waiter.base].remove(waiter)
            if not self._by_base[waiter.base]:
                del self._by_base[waiter.base]
        self._remember(waiter.base or waiter.id, waiter.future.done() and not waiter.future.cancelled())

    def find(self, headers: Headers, key: object) -> Waiter | Unmatched:
        """Whose a reply with these headers and this key is."""
        ids: dict[str, list[str]] = {}
        tokens: list[str] = []
        for name, value in headers:
            name = name.lower()
            if not value:
                continue
            if name in NAMES or name in self._customs:
                ids.setdefault(name, []).append(text(value))
            elif name == TOKEN:
                tokens.append(text(value))
        if tokens:
            waiters = [waiter for token in tokens if (waiter := self._by_token.get(token))]
            return waiters[0] if waiters else Unmatched.FOREIGN
        for name in (*self._customs, *NAMES) if ids else ():
            for one in ids.get(name, ()):
                waiter = self._by_id.get(one)
                if waiter is not None and (name in NAMES or name == waiter.header):
                    return waiter
        return self._by_key(text(key), bool(ids)) if key is not None else Unmatched.FOREIGN if ids else Unmatched.ABSENT

    def _by_key(self, key: str, has_header: bool) -> Waiter | Unmatched:
        """By the key alone: also a key of which an id was made, if only one request can be meant."""
        waiter = self._by_id.get(key)
        if has_header:  # somebody's id, though not that of a request which sent one in a header
            return waiter if waiter is not None and waiter.header is None else Unmatched.FOREIGN
        meant = ([waiter] if waiter is not None else []) + self._by_base.get(key, [])
        if not meant:
            return Unmatched.FOREIGN if key else Unmatched.ABSENT
        _, replied = self._used.get(key, (0.0, True))
        return meant[0] if len(meant) == 1 and (replied or meant[0].base is None) else Unmatched.AMBIGUOUS

    def _taken(self, key: str) -> bool:
        ended, _ = self._used.get(key, (None, True))
        lately = ended is not None and self._clock() - ended < _SECONDS
        return lately or key in self._by_id or key in self._by_base

    def _remember(self, key: str, replied: bool) -> None:
        now = self._clock()
        _, before = self._used.pop(key, (now, True))
        self._used[key] = now, replied and before
        while self._used:
            oldest, (ended, _) = next(iter(self._used.items()))
            if len(self._used) <= _REMEMBERED and now - ended < _SECONDS:
                return
            del self._used[oldest]
