"""Which points the sweep measures: not every combination, but one setting varied at a time around two centres; pure.

The centres are gzip at level 3, the agent's default codec, and zstd, the usual recommendation, in batches of 64 KiB
(librdkafka's own 1 MB there, which the agent never lowers). A codec matters everywhere; a batch size only where
batches get full, at full speed; linger only where they do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks._harness import LIBRARIES, configured

KINDS = ("json", "avro", "log", "compressed")
FULL, RATES = 0, (0, 2000, 200)  # records a second; 0: as fast as the library can
LINGERS = (0, 5, 20, 100)  # ms
BATCHES = {"confluent-kafka": (16, 64, 256, None), "kafka-python": (16, 64, 256), "aiokafka": (16, 64, 256)}  # KiB
PYTHON_CODECS = (("none", None), *(("gzip", level) for level in (1, 3, 6, 9)), *((c, None) for c in ("snappy", "lz4")))
CODECS = {
    "kafka-python": (*PYTHON_CODECS, ("zstd", None)),
    "aiokafka": (*PYTHON_CODECS, ("zstd", None)),
    "confluent-kafka": (*PYTHON_CODECS[1:], ("zstd", 1), ("zstd", None), ("zstd", 9)),
}
# Records that take about a second at full speed; fewer where each is large, or its codec slows librdkafka down so much.
AT_FULL_SPEED = {"kafka-python": 8_000, "aiokafka": 25_000, "confluent-kafka": 180_000}
FEWER = {"compressed": 0.4, "gzip-9": 0.15, "gzip-6": 0.4, "gzip-3": 0.6, "gzip-1": 0.6, "zstd-9": 0.4}


@dataclass(frozen=True)
class Point:
    """What a program could write down; None: the library's own (kafka-python, aiokafka: 16 KiB, 0 ms; librdkafka:
    1 MB, 5 ms; zstd at level 3, gzip at 9 in the Python libraries)."""

    codec: str = "none"
    level: int | None = None
    batch: int | None = None  # KiB
    linger: int | None = None  # ms

    @property
    def codec_name(self) -> str:
        """`gzip-3`, `zstd`."""
        return self.codec if self.level is None else f"{self.codec}-{self.level}"

    @property
    def label(self) -> str:
        """What a table calls it."""
        size = "" if self.batch is None else f", {self.batch} KiB"
        return f"{self.codec_name}{size}" + ("" if self.linger is None else f", {self.linger} ms")

    def job(self, library: str) -> dict[str, Any]:
        """Settings and gzip level, as programs/send.py takes them."""
        plan: dict[str, Any] = {"compression.type": self.codec} if self.codec != "none" else {}
        if self.batch is not None:
            plan["batch.size"] = self.batch * 1024
        if self.linger is not None:
            plan["linger.ms"] = self.linger
        if library == "confluent-kafka":
            level = {} if self.level is None else {"compression.level": self.level}
            return {"settings": configured(library, {**plan, **level})}
        return {"settings": configured(library, plan), "gzip_level": self.level if self.codec == "gzip" else None}


LIBRARYS_OWN = Point()


@dataclass(frozen=True)
class Group:
    """Points that are measured beside each other: the same library, kind of records, rate and way of sending."""

    library: str
    kind: str
    rate: int
    awaited: bool
    points: tuple[Point, ...]
    rounds: int
    seconds: float

    @property
    def name(self) -> str:
        """What a heading calls it."""
        speed = f"{self.rate:,}/s" if self.rate else "full speed"
        return f"{self.library}, {self.kind}, {speed}, {'awaited' if self.awaited else 'fire and forget'}"

    def records(self, point: Point) -> int:
        """As many as take about `seconds`; where every burst of ten is awaited, its linger decides."""
        if self.awaited:
            burst = max(1, self.rate // 200) if self.rate else 10
            each = max(0.005 if self.rate else 0.003, ((point.linger or 0) + 4) / 1000)
            return max(20, round(self.seconds / each) * burst)
        if self.rate:
            return round(self.rate * self.seconds)
        slow = FEWER.get(point.codec_name, 1.0) if self.library == "confluent-kafka" else 1.0
        return round(AT_FULL_SPEED[self.library] * FEWER.get(self.kind, 1.0) * slow * self.seconds)


def groups(quick: bool = False) -> list[Group]:
    """The whole sweep; `quick` leaves out most of what is not JSON or awaited, and repeats nothing."""
    found = []
    for library in LIBRARIES:
        for kind in KINDS:
            for rate in RATES:
                for awaited in (False, True):
                    if quick and (rate != 2000 or kind != "json") and (awaited or (rate != 2000 and kind != "json")):
                        continue
                    twice = 2 if kind == "json" and rate != 200 and not quick else 1
                    seconds = 0.4 if quick else 2.0 if kind == "json" else 1.0
                    chosen = points(library, kind, rate, awaited)
                    found.append(Group(library, kind, rate, awaited, chosen, twice, seconds))
    return found


def points(library: str, kind: str, rate: int, awaited: bool) -> tuple[Point, ...]:
    """What is worth measuring there, each once; the library's own is always among what it is compared with."""
    size = None if library == "confluent-kafka" else 64
    codecs = [Point(codec, level, size) for codec, level in CODECS[library]]
    gzip, zstd = Point("gzip", 3, size), Point("zstd", None, size)
    few = [Point(batch=size), gzip, Point("lz4", None, size), zstd]
    if awaited:
        found = [*few, *_lingers(zstd)] if kind == "json" else [gzip, zstd, Point("zstd", None, size, 20)]
    elif kind != "json":
        found = {FULL: codecs, 2000: [*few, *_lingers(zstd)], 200: [gzip, zstd, *_lingers(zstd)[2:]]}[rate]
    elif rate == FULL:
        batches = [Point(at.codec, at.level, batch) for at in (gzip, zstd) for batch in BATCHES[library]]
        found = [*codecs, *batches, *_lingers(zstd)]
    else:
        found = [*(codecs if rate == 2000 else few), *_lingers(gzip), *_lingers(zstd)]
    return tuple(point for point in dict.fromkeys(found) if point != LIBRARYS_OWN)


def _lingers(at: Point) -> list[Point]:
    return [Point(at.codec, at.level, at.batch, linger) for linger in LINGERS]


def sequence(chosen: Sequence[Point], turn: int, every: int = 4) -> list[Point]:
    """One round: each point once, beginning elsewhere in each; the library's own first, last and among every few."""
    start = turn * 3 % len(chosen)
    order = [*chosen[start:], *chosen[:start]]
    found = [LIBRARYS_OWN]
    for number, point in enumerate(order, 1):
        found.append(point)
        if number % every == 0 or number == len(order):
            found.append(LIBRARYS_OWN)
    return found


def beside(order: Sequence[Point], position: int) -> tuple[int, int]:
    """Where the library's own ran last before, and first after, this position: what it is compared with."""
    before = max(index for index in range(position + 1) if order[index] == LIBRARYS_OWN)
    after = min(index for index in range(position, len(order)) if order[index] == LIBRARYS_OWN)
    return before, after
