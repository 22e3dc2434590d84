"""Synthetic events of a web shop that compress like real ones; the same seed gives the same ones.

A handful of values make up most of what is sent (a few pages, countries, products), ids and times are new each time.
"""

import json
import random
import uuid
from collections.abc import Iterator

from superclient.cli._sending import Outgoing

_PAGES = [f"/shop/{kind}/{number}" for kind in ("shoes", "books", "games", "tools") for number in range(250)]
_COUNTRIES = "DE US FR GB IN BR JP NL SE PL IT ES CA AU KE AR".split()  # noqa: SIM905  # a line is easier to read
_AGENTS = [f"Mozilla/5.0 ({system})" for system in ("Windows NT 10.0", "X11; Linux", "iPhone; iOS 17", "Android 14")]
_ACTIONS = ["view", "view", "view", "view", "click", "click", "add_to_cart", "purchase"]
_WORDS = (
    *("size", "fits", "well", "delivery", "was", "quick", "would", "buy", "again", "colour", "as", "shown", "returned"),
    *("second", "pair", "gift", "for", "my", "sister", "arrived", "late", "box", "damaged", "support", "helped"),
)
_FIRST = 1_760_000_000_000  # ms since 1970


def events(count: int, size: int | None, keys: int, seed: int) -> Iterator[Outgoing]:
    """`count` of them, of about `size` bytes each, None: as they come, with one of so many keys, 0: without."""
    rng = random.Random(seed)
    for number in range(count):
        event = _event(rng, number)
        key = str(100_000 + _skewed(rng, keys)).encode() if keys else None
        if size is not None:
            _resize(rng, event, size)
        yield Outgoing(json.dumps(event, separators=(",", ":")).encode(), key)


def _event(rng: random.Random, number: int) -> dict[str, object]:
    return {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "time": _FIRST + number * 3 + rng.randrange(3),
        "user_id": 100_000 + _skewed(rng, 50_000),
        "session": f"{rng.getrandbits(32):08x}",
        "action": rng.choice(_ACTIONS),
        "page": _PAGES[_skewed(rng, len(_PAGES))],
        "country": _COUNTRIES[_skewed(rng, len(_COUNTRIES))],
        "agent": _AGENTS[_skewed(rng, len(_AGENTS))],
        "amount": round(rng.lognormvariate(3, 1), 2),
        "experiment": None,
        "variant": rng.choice("ab"),
        "new": rng.random() < 0.2,
    }


def _resize(rng: random.Random, event: dict[str, object], size: int) -> None:
    """Make it about so large: a comment of words, or fewer fields, never fewer than the id."""
    missing = size - len(json.dumps(event, separators=(",", ":"))) - len(',"comment":""')
    if missing > 0:
        words = rng.choices(_WORDS, k=missing // 3 + 1)
        event["comment"] = " ".join(words)[:missing]
    while len(event) > 1 and len(json.dumps(event, separators=(",", ":"))) > size:
        event.popitem()


def _skewed(rng: random.Random, limit: int) -> int:
    """An index below `limit`, small ones likelier, by Zipf's law."""
    return int(limit ** rng.random()) - 1
