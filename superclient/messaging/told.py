"""Warnings about records, of which a bad topic could have millions."""

import logging
import time
from typing import Any

logger = logging.getLogger("superclient.messaging")

_AT_ONCE = 20  # lines of one topic before it is told of once a second


class Told:
    """Logs a warning for each of the first bad records of a topic, then one a second, with the number left out."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[int, float, int]] = {}  # topic → lines, when the last one was, left out since

    def __call__(self, topic: str, text: str, *args: object) -> None:
        lines, last, left_out = self._topics.get(topic, (0, 0.0, 0))
        now = time.monotonic()
        if lines >= _AT_ONCE and now - last < 1:
            self._topics[topic] = lines, last, left_out + 1
            return
        self._topics[topic] = lines + 1, now, 0
        if left_out:
            text, args = text + " (and %d more that are not shown)", (*args, left_out)
        logger.warning(text, *args)


def place(record: Any) -> str:
    """Where a record is, for the log."""
    return f"{record.topic}-{record.partition}, offset {record.offset}"


def brief(error: BaseException) -> str:
    """An error in one line of at most 200 characters."""
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:200] if first else type(error).__name__
