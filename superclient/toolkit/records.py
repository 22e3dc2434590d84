"""What a record may be made of, and what is said of one that is not: checked where the library would crash, or be mute.

Values and keys the library checks itself, at no cost; `misuse` turns what it says into something to act on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

Data: TypeAlias = str | bytes | None
HeadersLike: TypeAlias = Mapping[str, Data] | Sequence[tuple[str, Data]]
Record: TypeAlias = Data | Mapping[str, Any]
# topic, value, key, partition, headers, timestamp
Fields: TypeAlias = tuple[str, Data, Data, int | None, HeadersLike | None, int | None]

FIELDS = ("value", "key", "partition", "headers", "timestamp")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")  # as in org.apache.kafka.common.internals.Topic


def topic_name(topic: object) -> str:
    """The topic, if a topic can be named so; the library would let its records time out.

    Raises:
        TypeError: it is no str.
        ValueError: no topic can be named so.
    """
    if not isinstance(topic, str):
        raise TypeError(f"topic is {type(topic).__name__}: it takes str")
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ValueError(f"topic is {topic!r}: it takes 1 to 249 of the characters a-z A-Z 0-9 . _ -")
    return str.__str__(topic)  # an Enum's, say, as a plain one


def header_list(headers: HeadersLike) -> list[tuple[str, bytes | None]]:
    """Headers as the library takes them. A name that is no UTF-8 would crash it, one with a zero it would cut.

    Raises:
        TypeError: neither a mapping nor pairs; a name that is no str, a value that is neither str, bytes nor None.
        ValueError: a name or value that UTF-8 cannot hold, a name with a zero in it.
    """
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes)) or not hasattr(pairs, "__iter__"):
        raise TypeError(f"headers is {type(headers).__name__}: it takes a mapping, or a list of (name, value)")
    return [_header(pair) for pair in pairs]


def _header(pair: Any) -> tuple[str, bytes | None]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"headers has {pair!r}: it takes (name, value)")
    name, value = pair
    if not isinstance(name, str):
        raise TypeError(f"headers has a name that is {type(name).__name__}: it takes str")
    if "\0" in name:
        raise ValueError(f"headers has the name {name!r}: a zero would end it")
    name.encode()  # raises, where the library would crash
    if isinstance(value, str):
        return name, value.encode()
    if value is not None and not isinstance(value, bytes):
        raise TypeError(f"header {name!r} is {type(value).__name__}: it takes str, bytes or None")
    return name, value


def batch(topic: str, found: Iterable[Record], partition: int | None) -> Sequence[bytes | Fields]:
    """Each as the library takes it; as they are if all are bytes. All are checked: a mistake in one sends none.

    Raises:
        TypeError, ValueError: no such record can be; the message has its place in the batch.
    """
    if isinstance(found, (str, bytes, Mapping)):
        raise TypeError(f"records is {type(found).__name__}: it takes a list of records, also for one")
    topic_name(topic)
    default = -1 if partition is None else number("partition", partition, 2**31)
    listed = list(found)
    if set(map(type, listed)) == {bytes}:
        return cast(list[bytes], listed)
    made: list[Fields] = []
    for place, record in enumerate(listed):
        try:
            made.append(_of_batch(topic, record, default))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"record {place}: {error}") from None
    return made


def _of_batch(topic: str, record: Record, default: int) -> Fields:
    if not isinstance(record, Mapping):
        return topic, _data("value", record), None, default, None, 0
    unknown = set(record).difference(FIELDS)
    if unknown:
        raise TypeError(f"it has {', '.join(sorted(map(str, unknown)))}; it takes {', '.join(FIELDS)}")
    value, key, partition, headers, timestamp = map(record.get, FIELDS)
    place = default if partition is None else number("partition", partition, 2**31)
    stamp = number("timestamp", timestamp, 2**63) if timestamp else 0
    return topic, _data("value", value), _data("key", key), place, header_list(headers) if headers else None, stamp


def _data(name: str, data: object) -> bytes | None:
    if isinstance(data, str):
        return data.encode()
    if data is not None and not isinstance(data, bytes):
        raise TypeError(f"{name} is {type(data).__name__}: it takes str, bytes or None")
    return data


def number(name: str, value: object, below: int) -> int:
    """A partition or a timestamp, if it can be one; -1 is none.

    Raises:
        TypeError, ValueError: it cannot.
    """
    if not isinstance(value, int):
        raise TypeError(f"{name} is {type(value).__name__}: it takes int")
    if not -1 <= value < below:
        raise ValueError(f"{name} is {value}: it takes a number from 0")
    return value


def misuse(error: Exception, topic: object, value: object, key: object) -> Exception:
    """What to raise in place of the TypeError or ValueError with which a record was refused."""
    try:
        topic_name(topic)
        _data("value", value)
        _data("key", key)
    except (TypeError, ValueError) as better:
        return better
    return error
