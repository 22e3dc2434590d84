"""The records that every benchmark sends: JSON events of about 285 bytes, their field values skewed as real ones are.

A handful of values make up most of what is sent (a few pages, countries, products), ids and times are new each time.
Deterministic: every arm sends the same bytes.
"""

import json
import random
import uuid

COUNT = 20_000  # distinct ones, about 5.7 MB: more than any batch or compression window holds

PAGES = [f"/shop/{kind}/{number}" for kind in ("shoes", "books", "games", "tools") for number in range(250)]
COUNTRIES = ["DE", "US", "FR", "GB", "IN", "BR", "JP", "NL", "SE", "PL", "IT", "ES", "CA", "AU", "KE", "AR"]
AGENTS = [f"Mozilla/5.0 ({system})" for system in ("Windows NT 10.0", "X11; Linux", "iPhone; iOS 17", "Android 14")]
ACTIONS = ["view", "view", "view", "view", "click", "click", "add_to_cart", "purchase"]


def events(count: int = COUNT, seed: int = 1) -> list[bytes]:
    """`count` encoded events."""
    rng = random.Random(seed)
    return [_event(rng, number) for number in range(count)]


def _event(rng: random.Random, number: int) -> bytes:
    return json.dumps(
        {
            "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "time": 1_760_000_000_000 + number * 3 + rng.randrange(3),
            "user_id": 100_000 + _skewed(rng, 50_000),
            "session": f"{rng.getrandbits(32):08x}",
            "action": rng.choice(ACTIONS),
            "page": PAGES[_skewed(rng, len(PAGES))],
            "country": COUNTRIES[_skewed(rng, len(COUNTRIES))],
            "agent": AGENTS[_skewed(rng, len(AGENTS))],
            "amount": round(rng.lognormvariate(3, 1), 2),
            "experiment": None,
            "variant": rng.choice("ab"),
            "new": rng.random() < 0.2,
        }
    ).encode()


def _skewed(rng: random.Random, limit: int) -> int:
    """An index below `limit`, small ones likelier, by Zipf's law."""
    return int(limit ** rng.random()) - 1
