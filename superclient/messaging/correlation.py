"""Which reply is whose: the requester's half of the protocol. No I/O.

A request carries its correlation id in a header, in its key, or in both; a server copies them into its reply. Where the
id is the caller's own (`correlation_id`, `req_key`), somebody else may use the same one at the same time, so a random
token travels with it; a server of ours copies that too.
"""

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from superclient.messaging.headers import ERROR_CODE, ERROR_MESSAGE, NAMES, REPLY_TOPIC, TOKEN, Header, lower, text

_WAYS = ("key", "header", "both")
_OURS = (REPLY_TOPIC, TOKEN, ERROR_CODE, ERROR_MESSAGE)
_REMEMBERED = 100_000  # keys that were used as ids, and for how many seconds
_SECONDS = 600.0


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its reply.

    Attributes:
        id: its correlation id.
        future: where the reply goes.
        expected: the type that was asked for; None: any.
        header: lower-case name of the header that carries the id; None: the key alone does.
        token: tells it from a request of somebody else's with the same id; None where the id is random, unless it
            travels in a header of the caller's own alone.
        base: the key that its id was made of, where that itself was taken.
        sending: an Interrupt, while it is being sent; delivery: what the producer has promised, from then on.
        replied: whether its reply has come.
        unfit: replies of its own of which no parser made such a value.
    """

    id: str
    future: Any
    expected: Any
    header: str | None
    token: str | None = None
    base: str | None = None
    sending: Any = None
    delivery: Any = None
    replied: bool = False
    unfit: int = 0


def check(explicit: str | None, way: str, name: str) -> None:
    """Raises ValueError for what a request cannot mean by its id, the ways that it travels, and its header."""
    if way not in _WAYS:
        raise ValueError(f'propagate_corr_to is "key", "header" or "both"; it is {way!r}')
    if not isinstance(name, str) or not name or name.lower() in _OURS:
        raise ValueError(f"correlation_header_key is the name of a header that is not taken; it is {name!r}")
    if explicit is not None and (not isinstance(explicit, str) or not explicit):
        raise ValueError(f"a correlation_id is a text of at least one character; it is {explicit!r}")


def outgoing(
    waiter: Waiter, key: Any, way: str, name: str, headers: list[Header], reply_to: Iterable[Header]
) -> tuple[Any, list[Header]]:
    """The key and the headers of a request; `headers` are the program's own, of which none takes the id's place."""
    ours = list(reply_to)
    if waiter.header is not None:
        ours.append((name, waiter.id.encode()))
    if waiter.token is not None:
        ours.append((TOKEN, waiter.token.encode()))
    if headers:
        taken = (waiter.header, TOKEN)
        ours = [pair for pair in headers if pair[0].lower() not in taken and pair not in ours] + ours
    return (waiter.id if key is None and way != "header" else key), ours


class Unmatched(Enum):
    """Why a reply is nobody's."""

    ABSENT = "it has no correlation id"
    FOREIGN = "it is for another requester, or late"
    AMBIGUOUS = "its key alone does not tell which request it answers"


class Waiters:
    """The requests that wait, and which of them a reply is for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_id: dict[str, Waiter] = {}
        self._by_token: dict[str, Waiter] = {}
        self._by_base: dict[str, list[Waiter]] = {}
        self._customs: dict[str, int] = {}  # lower-case names other than NAMES → requests that use them
        self._used: dict[str, tuple[float, bool]] = {}  # callers' own ids → when they ended, whether all had a reply

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Waiter]:
        return list(self._by_id.values())

    def add(self, future: Any, explicit: str | None, key: object, way: str, name: str, expected: Any = None) -> Waiter:
        """A new one. Its id is the explicit one, else the key as text, else random; a key that is an id already, or
        was one lately, makes an id of its own.

        Raises ValueError for an explicit id that waits, and for arguments that cannot be meant.
        """
        check(explicit, way, name)
        chosen, base = self._chosen(explicit, key)
        by_header = way != "key" or (key is not None and text(key) != chosen)
        waiter = Waiter(chosen, future, expected, name.lower() if by_header else None, base=base)
        self._by_id[chosen] = waiter
        if waiter.header is not None and waiter.header not in NAMES:
            self._customs[waiter.header] = self._customs.get(waiter.header, 0) + 1
        # A server of ours copies the headers that it knows by name, and the token.
        if explicit is not None or key is not None or (way == "header" and waiter.header not in NAMES):
            waiter.token = _random()
            self._by_token[waiter.token] = waiter
        if base is not None:
            self._by_base.setdefault(base, []).append(waiter)
        return waiter

    def _chosen(self, explicit: str | None, key: object) -> tuple[str, str | None]:
        if explicit is not None:
            if explicit in self._by_id:
                raise ValueError(f"a request with the correlation_id {explicit!r} is waiting already")
            return explicit, None
        base = text(key) if key is not None else ""
        if base and not self._taken(base):
            return base, None
        return (f"{base}:{_random()}", base) if base else (_random(), None)

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
        self._remember(waiter.base or waiter.id, waiter.replied)

    def find(self, headers: Sequence[Header], key: object) -> Waiter | Unmatched:
        """Whose a reply with these headers and this key is."""
        ids: dict[str, list[str]] = {}
        tokens: list[str] = []
        for name, value in headers:
            known = lower(name)
            if value and (known in NAMES or known in self._customs):
                ids.setdefault(known, []).append(text(value))
            elif value and known == TOKEN:
                tokens.append(text(value))
        if tokens:
            return next((self._by_token[token] for token in tokens if token in self._by_token), Unmatched.FOREIGN)
        for name in (*self._customs, *NAMES) if ids else ():
            for one in ids.get(name, ()):
                waiter = self._by_id.get(one)
                if waiter is not None and (name in NAMES or name == waiter.header):
                    return waiter
        if key is not None:
            return self._by_key(text(key), bool(ids))
        return Unmatched.FOREIGN if ids else Unmatched.ABSENT

    def _by_key(self, key: str, has_id: bool) -> Waiter | Unmatched:
        waiter = self._by_id.get(key)
        if has_id:  # in a header, and nobody's here: only a request that sent none there can be meant
            return waiter if waiter is not None and waiter.header is None else Unmatched.FOREIGN
        meant = [waiter] if waiter is not None else []
        meant += self._by_base.get(key, ())
        if not meant:
            return Unmatched.FOREIGN if key else Unmatched.ABSENT
        # A server that knows the key alone: it may answer an earlier request with that key, which is not waited for.
        late = not self._used.get(key, (0.0, True))[1]
        return Unmatched.AMBIGUOUS if len(meant) > 1 or (late and meant[0].base is not None) else meant[0]

    def _taken(self, key: str) -> bool:
        ended = self._used.get(key, (-_SECONDS, True))[0]
        return self._clock() - ended < _SECONDS or key in self._by_id or key in self._by_base

    def _remember(self, key: str, replied: bool) -> None:
        now = self._clock()
        _, before = self._used.pop(key, (now, True))  # and back to the end of the row
        self._used[key] = now, replied and before
        while self._used:
            oldest, (ended, _) = next(iter(self._used.items()))
            if len(self._used) <= _REMEMBERED and now - ended < _SECONDS:
                return
            del self._used[oldest]


def _random() -> str:
    """96 bits; half of a UUID's characters, of which aiokafka hashes every one in Python, here and at the server."""
    return urlsafe_b64encode(os.urandom(12)).decode()
