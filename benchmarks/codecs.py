"""Which codec a library bears at full speed: the measurement behind the agent's defaults (not part of `make bench`).

    python -m benchmarks.codecs [--quick]

The bare library alone, no agent, its settings written by hand. A default has to keep 0.95 of the library's own top
throughput. kafka-python and aiokafka compress gzip at level 9 and have no setting for it; `gzip-1` and `gzip-6` force
another level from outside. Where one thread does it all (aiokafka), the CPU time is the steadier measure.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks._harness import BARE, LIBRARIES, OURS, Arm, arms, broker, configured, interleave, options, progress
from benchmarks._report import Row, compare, publish
from benchmarks._wire import deliver
from benchmarks.throughput import GOAL_RATE, RECORDS
from tests.servers import Broker

BATCH = {"batch.size": 65536}
PYTHON: dict[str, dict[str, Any]] = {
    "64 KiB": BATCH,
    **{f"{codec}, 64 KiB": {"compression.type": codec, **BATCH} for codec in ("gzip", "lz4", "snappy", "zstd")},
    **{f"gzip-{level}, 64 KiB": {"compression.type": "gzip", "level": level, **BATCH} for level in (1, 6)},
}
LIBRDKAFKA: dict[str, dict[str, Any]] = {
    **{codec: {"compression.type": codec} for codec in ("gzip", "lz4", "snappy", "zstd")},
    "gzip-3": {"compression.type": "gzip", "compression.level": 3},
}


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    rows: list[Row] = []
    with broker() as kafka:
        for library in LIBRARIES:
            rows += _rows(kafka, library, 3 if chosen.quick else 9)
    publish("codecs", rows)


def _rows(kafka: Broker, library: str, rounds: int) -> Iterator[Row]:
    progress(f"codecs: {library}, {rounds} rounds")
    plans = LIBRDKAFKA if library == "confluent-kafka" else PYTHON
    bare = arms(peer=False)[0]
    sides = [bare, *(replace(bare, name=name) for name in plans)]

    def one(arm: Arm) -> dict[str, Any] | str:
        plan = dict(plans.get(arm.name, {}))
        job = {"library": library, "records": RECORDS[library], "rate": 0, "gzip_level": plan.pop("level", None)}
        return deliver(kafka, arm, {**job, "settings": configured(library, plan)}, None)

    found = interleave(sides, rounds, one)
    for name in plans:
        # The tables have a column for what is compared with bare; here it is the library with another codec.
        pair = replace(found, found={BARE: found.found[BARE], OURS: found.found[name]})
        yield replace(compare(f"{library}, {name}, records/s", pair, "rate", GOAL_RATE), at_least=True)
        yield compare(f"{library}, {name}, CPU time a record", pair, "cpu", None, "us")
        yield compare(f"{library}, {name}, bytes a record", pair, "bytes")


if __name__ == "__main__":
    main()
