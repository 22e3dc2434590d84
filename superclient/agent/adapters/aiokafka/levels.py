"""The gzip level of an AIOKafkaProducer: its builders carry it to wherever they are built."""

import functools
import sys
import threading
from typing import Any

from superclient.agent.adapters import gzip_level

TAG = "_superclient_level"


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
            level = self.__dict__.get(TAG)
            if level is None:
                return original(self)
            _now.level = level
            try:
                return original(self)
            finally:
                _now.level = None

        setattr(_build, TAG, None)
        builder._build = _build  # type: ignore[union-attr]
    return True


def choose(accumulator: Any, level: int | None) -> None:
    """From the next batch on, gzip at this level; None: as the library does."""
    own = vars(accumulator)
    own.pop("create_builder", None)
    if level is not None:
        create = accumulator.create_builder

        def create_builder(*args: Any, **kwargs: Any) -> Any:
            builder = create(*args, **kwargs)
            setattr(builder, TAG, level)
            return builder

        own["create_builder"] = create_builder
