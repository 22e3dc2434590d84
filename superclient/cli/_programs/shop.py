"""Events of a web shop, about 285 bytes of JSON each; as in real data, a few values are common and most are rare."""

import json
import random
from collections.abc import Iterator

BURST = 20
PAUSE = 0.01
"""Seconds between two bursts: about 2,000 events a second, as requests come in."""

Event = tuple[bytes | None, bytes]

_ACTIONS = ("page_view", "search", "add_to_cart", "checkout", "payment", "refund")
_COUNTRIES = ("DE", "US", "FR", "GB", "IN", "BR", "JP", "KE")
_AGENTS = ("Chrome/129 Windows", "Safari/18 iPhone", "Chrome/129 Android", "Firefox/131 Linux", "Edge/129 Windows")


def bursts(number: int) -> Iterator[list[Event]]:
    """`number` events in bursts; every second one has keys, for events that must stay in order."""
    chance = random.Random(285)
    for first in range(0, number, BURST):
        keyed = (first // BURST) % 2 == 1
        yield [_event(chance, keyed) for _ in range(min(BURST, number - first))]


def orders(number: int) -> list[Event]:
    """`number` events that a program waits for, one by one."""
    chance = random.Random(42)
    return [_event(chance, keyed=True) for _ in range(number)]


def _event(chance: random.Random, keyed: bool) -> Event:
    customer = f"customer-{_rank(chance, 5000):05d}"
    product = _rank(chance, 800)
    document = {
        "event_id": f"{chance.getrandbits(64):016x}",
        "timestamp_ms": 1_750_000_000_000 + chance.randrange(3_600_000),
        "action": _ACTIONS[_rank(chance, len(_ACTIONS))],
        "customer": customer,
        "session": f"{chance.getrandbits(48):012x}",
        "product": {"sku": f"SKU-{product:06d}", "category": f"category-{product % 12}", "price": product % 90 + 9.99},
        "quantity": _rank(chance, 5) + 1,
        "country": _COUNTRIES[_rank(chance, len(_COUNTRIES))],
        "user_agent": _AGENTS[_rank(chance, len(_AGENTS))],
    }
    return (customer.encode() if keyed else None), json.dumps(document).encode()


def _rank(chance: random.Random, number: int) -> int:
    """A number below `number`, small ones far more often than large ones."""
    return int(number * chance.random() ** 3)
