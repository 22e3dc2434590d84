"""Where a request wants its replies, and what they carry back: the server's half of the protocol. No I/O."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from superclient.messaging.headers import NAMES, REPLY_TOPIC, TOKEN, Header, lower, text

_LONGEST = 250  # bytes of a topic's name that are looked at: one more than it may have
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class Address(NamedTuple):
    """Where the replies of a request go.

    Attributes:
        topics: their names, each once, in the request's order.
        refused: what else it names, with the reason: "nowhere: it is no topic's name".
        headers: the correlation, as it came.
        raw: the first of it, else the key, else None.
    """

    topics: list[str]
    refused: list[str]
    headers: list[Header]
    raw: object

    @classmethod
    def of(
        cls,
        headers: Sequence[Header],
        key: object,
        names: Collection[str] = (),
        allowed: frozenset[str] | None = None,
        own: frozenset[str] = frozenset(),
    ) -> "Address":
        """What a request's headers and key say.

        Args:
            names: lower-case names of headers that are correlation too.
            allowed: topics that may be answered to; None: any.
            own: the server's own topics, to which an answer would be a request.
        """
        topics: list[str] = []
        refused: list[str] = []
        found: list[Header] = []
        told = b""
        for pair in headers:
            name, value = pair
            known = lower(name)
            if known in NAMES or known in names:
                found.append(pair)
                told = told or value or b""
            elif known == TOKEN:
                found.append(pair)
            elif known == REPLY_TOPIC:
                topic, reason = _topic((value or b"")[:_LONGEST], allowed, own)
                if not reason:
                    if topic not in topics:
                        topics.append(topic)
                elif (shown := f"{topic[:100]!r} ({reason})") not in refused:
                    refused.append(shown)
        return cls(topics, refused, found, told or key)

    @property
    def id(self) -> str:
        """The correlation id as text; "" where there is none."""
        return "" if self.raw is None else text(self.raw)


@lru_cache(1000)
def _topic(raw: bytes, allowed: frozenset[str] | None, own: frozenset[str]) -> tuple[str, str]:
    """A reply topic as text, and what speaks against it, or ""."""
    topic = text(raw)
    return topic, _reason(topic, allowed, own)


def _reason(topic: str, allowed: Collection[str] | None, own: Collection[str]) -> str:
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        return "no topic's name"
    if topic in own:
        return "a topic of requests"
    return "not among reply_topics" if allowed is not None and topic not in allowed else ""
