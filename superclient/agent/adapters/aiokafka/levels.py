"""The gzip level of an AIOKafkaProducer, whose builders carry it to wherever they are built, and what it may cost.

aiokafka compresses on the event loop. So gzip by default has a share of the time: where a producer is so busy that it
would take more, batches go out as they are until the time is earned again.
"""

import functools
import sys
import threading
import time
from typing import Any

from superclient.agent.adapters import gzip_level

TAG = "_superclient_level"
CHOSEN = "_superclient_gzip"


BURST = 0.02  # seconds of compressing that a producer may have saved up


class Budget:
    """Seconds that compressing may take: a share of the time that passes."""

    __slots__ = ("left", "seen", "share")

    def __init__(self, share: float) -> None:
        self.share, self.left, self.seen = share, BURST, time.perf_counter()

    def affords(self) -> bool:
        """Whether there is time left for a batch that begins now."""
        now = time.perf_counter()
        self.left, self.seen = min(BURST, self.left + (now - self.seen) * self.share), now
        return self.left > 0

    def spend(self, seconds: float) -> None:
        """A batch took this long to compress."""
        self.left -= seconds


class _Now(threading.local):
    level: int | None = None


_now = _Now()


def patch(known: dict[str, Any]) -> bool:
    """Hook the builder, and the gzip of the records it builds, in C or in Python; False where either is missing."""
    builder = known.get("BatchBuilder")
    original = getattr(builder, "_build", None)
    records = getattr(sys.modules.get(getattr(builder, "__module__", "")), "DefaultRecordBatchBuilder", None)
    if original is None or not gzip_level.patch(
        sys.modules.get(getattr(records, "__module__", "")), lambda: _now.level
    ):
        return False
    if not hasattr(original, TAG):

        @functools.wraps(original)
        def _build(self: Any) -> Any:
            tag: tuple[int, Budget] | None = getattr(self, TAG, None)
            if tag is None:
                return original(self)
            _now.level, start = tag[0], time.thread_time()  # what else the machine does meanwhile is not gzip's cost
            try:
                return original(self)
            finally:
                _now.level = None
                tag[1].spend(time.thread_time() - start)

        setattr(_build, TAG, None)
        builder._build = _build  # type: ignore[union-attr]
    return True


def choose(accumulator: Any, level: int | None, share: float) -> None:
    """From the next batch on, gzip at this level, within this share of the time; None: as the library does."""
    if getattr(accumulator, CHOSEN, None) is not None:
        del accumulator.create_builder
        setattr(accumulator, CHOSEN, None)
    if level is None:
        return
    create, tag, bits = accumulator.create_builder, (level, Budget(share)), accumulator._compression_type

    def create_builder(*args: Any, **kwargs: Any) -> Any:
        if tag[1].affords():
            builder = create(*args, **kwargs)
            setattr(builder, TAG, tag)
            return builder
        accumulator._compression_type = 0
        try:
            return create(*args, **kwargs)
        finally:
            if getattr(accumulator, CHOSEN, None) is tag:  # the heartbeat may have chosen anew meanwhile
                accumulator._compression_type = bits

    setattr(accumulator, CHOSEN, tag)
    accumulator.create_builder = create_builder
