"""What becomes of a record on its way through a relay: its transform, its place in the target, its dead letter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from superclient.toolkit.records import Data, HeadersLike, header_list
from superclient.toolkit.results import MessageResult

_ANY_PARTITION = -1  # librdkafka's RD_KAFKA_PARTITION_UA: its partitioner decides


class _Sign:
    """A value that stands for itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


DROP: Final = _Sign("DROP")
"""What a transform returns for a record that is not to be forwarded; its offset is committed like any other."""
KEEP: Final = _Sign("KEEP")
"""As it is in the source record."""


@dataclass(frozen=True)
class RelayRecord:
    """What a transform returns to change more than the value; `KEEP` is what the source record has."""

    value: Data | _Sign = KEEP
    key: Data | _Sign = KEEP
    headers: HeadersLike | _Sign | None = KEEP


Transform = Callable[[MessageResult], object]


@dataclass(frozen=True)
class Target:
    """Where records go, and how they are changed on the way.

    `partitions`: below this number a record stays in the partition that it had in the source; from it on, and whenever
    the transform changed the key, the library's partitioner decides by key. As in MirrorMaker 2, consumers that rely on
    what is in which partition find the same in the copy.
    """

    topic: str
    partitions: int
    transform: Transform | None = None
    dead_letter: str | None = None

    def record(self, message: Any) -> dict[str, Any] | None:
        """The arguments of `produce`, None for a record that is dropped.

        Raises:
            Exception: whatever the transform does; TypeError or ValueError for what no record can be made of.
        """
        number = message.partition()
        found = {
            "topic": self.topic,
            "value": message.value(),
            "key": message.key(),
            "headers": message.headers(),
            "partition": number if number < self.partitions else _ANY_PARTITION,
            **_time(message),
        }
        return found if self.transform is None else self._changed(found, self.transform(MessageResult.of(message)))

    def dead(self, message: Any, error: Exception) -> dict[str, Any]:
        """The same for a record that could not be forwarded: as it was, with headers that say where and why."""
        why = f"{type(error).__name__}: {error}"
        return {
            "topic": self.dead_letter,
            "value": message.value(),
            "key": message.key(),
            "headers": [
                *(message.headers() or []),
                ("superclient.relay.topic", str(message.topic()).encode()),
                ("superclient.relay.partition", b"%d" % message.partition()),
                ("superclient.relay.offset", b"%d" % message.offset()),
                ("superclient.relay.error", why.encode("utf-8", "backslashreplace")[:1000]),
            ],
            **_time(message),
        }

    def _changed(self, found: dict[str, Any], answer: object) -> dict[str, Any] | None:
        if answer is DROP:
            return None
        record = answer if isinstance(answer, RelayRecord) else RelayRecord(_data("the transform's answer", answer))
        if record.value is not KEEP:
            found["value"] = _data("value", record.value)
        if record.key is not KEEP:
            key = _bytes(_data("key", record.key))
            if key != found["key"]:
                found["key"], found["partition"] = key, _ANY_PARTITION
        if record.headers is not KEEP:
            found["headers"] = header_list(record.headers or [])  # type: ignore[arg-type]
        return found


def _time(message: Any) -> dict[str, int]:
    kind, stamp = message.timestamp()
    return {} if kind == TIMESTAMP_NOT_AVAILABLE else {"timestamp": stamp}


def _data(name: str, value: object) -> Data:
    if value is not None and not isinstance(value, (str, bytes)):
        raise TypeError(f"{name} is {type(value).__name__}: it takes bytes, str, None, a RelayRecord or DROP")
    return value


def _bytes(value: Data) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
