"""JSON log events: what happened, as one JSON object a line, by the logger `superclient.toolkit` at INFO.

Nothing is printed unless the program lets INFO pass; the message itself is the JSON, so that whoever ships logs need
not parse it out of a format.
"""

import json
import logging
from collections.abc import Iterable

LOGGER = logging.getLogger("superclient.toolkit")
LOGGER.addHandler(logging.NullHandler())


def emit(event: str, **fields: object) -> None:
    """Log one event: `{"event": event, …fields}`; what JSON does not know is written as text."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info("%s", json.dumps({"event": event, **fields}, default=str))


def partitions(found: Iterable[object]) -> list[dict[str, object]]:
    """TopicPartitions as an event shows them: `[{"topic": …, "partition": …}]`, in order."""
    rows = sorted((getattr(one, "topic"), getattr(one, "partition")) for one in found)  # noqa: B009  # Any of them
    return [{"topic": topic, "partition": partition} for topic, partition in rows]
