"""Four kinds of records to send: JSON events, Avro-like binary, log lines, and what is compressed already.

Values are skewed as real ones are, ids and times are new each time. Deterministic: every run sends the same bytes.
`records(kind, count)` gives the values, `keys(count)` keys that go with them.
"""

import random
import struct

from events import AGENTS, COUNTRIES, PAGES, _skewed, events

KINDS = ("json", "avro", "log", "compressed")
ACTIONS = ("view", "click", "add_to_cart", "purchase", "refund")
STARTED = 1_760_000_000_000  # ms
LOGGERS = [f"com.shop.{part}.{name}" for part in ("orders", "stock", "mail") for name in ("Service", "Client", "Job")]
SAID = (
    ("INFO", "Order {id} of customer {customer} accepted in {ms} ms"),
    ("INFO", "GET /api/v2/orders/{id} 200 {ms} ms"),
    ("DEBUG", "cache miss for key customer:{customer}:profile"),
    ("INFO", "published event OrderPaid id={id} partition={part} offset={offset}"),
    ("WARN", "slow query took {ms} ms: SELECT * FROM orders WHERE customer_id = {customer} ORDER BY created_at"),
    ("ERROR", "payment {id} failed: java.net.SocketTimeoutException: Read timed out after {ms} ms"),
)


def records(kind: str, count: int, seed: int = 1) -> list[bytes]:
    """`count` values of this kind: about 286, 65, 141 and 800 bytes on average."""
    if kind == "json":
        return events(count, seed)
    rng = random.Random(seed)
    make = {"avro": _avro, "log": _log, "compressed": _compressed}[kind]
    return [make(rng, number) for number in range(count)]


def keys(count: int, seed: int = 2) -> list[bytes]:
    """As many keys, of 50,000 customers, some of whom are far busier than others."""
    rng = random.Random(seed)
    return [str(100_000 + _skewed(rng, 50_000)).encode() for _ in range(count)]


def varint(number: int) -> bytes:
    """Avro's long: zigzag, then seven bits a byte, the lowest first."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def _text(text: str) -> bytes:
    return varint(len(text)) + text.encode()


def _avro(rng: random.Random, number: int) -> bytes:
    """An event by a schema, as a registry's serializer frames it: no field names, a fixed id, varints, a union."""
    return b"".join(
        (
            b"\0" + struct.pack(">I", 42),  # magic byte and the schema's id
            rng.randbytes(16),
            varint(STARTED + number * 3 + rng.randrange(3)),
            varint(100_000 + _skewed(rng, 50_000)),
            varint(_skewed(rng, len(ACTIONS))),
            _text(PAGES[_skewed(rng, len(PAGES))]),
            _text(COUNTRIES[_skewed(rng, len(COUNTRIES))]),
            struct.pack("<d", round(rng.lognormvariate(3, 1), 2)),
            varint(0) if rng.random() < 0.8 else varint(1) + _text(AGENTS[_skewed(rng, len(AGENTS))]),
            bytes([rng.random() < 0.2]),
        )
    )


def _log(rng: random.Random, number: int) -> bytes:
    level, said = SAID[_skewed(rng, len(SAID))]
    text = said.format(
        id=7_000_000 + number + rng.randrange(50),
        customer=100_000 + _skewed(rng, 50_000),
        ms=int(rng.lognormvariate(3, 1)),
        part=rng.randrange(12),
        offset=88_000_000 + number,
    )
    ms = number * 3 + rng.randrange(3)
    clock = f"2026-01-12T{8 + ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}Z"
    worker, logger, trace = rng.randrange(16), LOGGERS[_skewed(rng, len(LOGGERS))], rng.getrandbits(64)
    return f"{clock} {level:5} [worker-{worker}] {logger} - {text} trace={trace:016x}".encode()


def _compressed(rng: random.Random, number: int) -> bytes:
    """A thumbnail: a JPEG's header, which is always the same, then what its entropy coding leaves: noise."""
    header = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(range(16, 40))
    return (
        header + number.to_bytes(4, "big") + rng.randbytes(min(4000, int(rng.lognormvariate(6.5, 0.5)))) + b"\xff\xd9"
    )
