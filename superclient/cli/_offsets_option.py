"""The places at which consuming begins, in the words of kcat and rpk: `-o beginning | end | stored | N | -N | @TIME`"""

import re
from datetime import datetime, timezone
from typing import Any, NamedTuple

_WORDS = {
    "beginning": "beginning", "start": "beginning", "earliest": "beginning",
    "end": "end", "latest": "end",
    "stored": "stored",
}  # fmt: skip
_LARGEST = 2**63 - 1
# librdkafka's logical offsets; not imported from it: the command line is read before any Kafka library is loaded.
_BEGINNING, _END, _STORED, _TAIL = -2, -1, -1000, -2000

TAKES = "beginning, end, stored, N, -N (the last N of each partition), @MILLISECONDS or @2026-01-31T12:00:00"


class Start(NamedTuple):
    """Where to begin: one of the words, an offset, a count of last records, or a time in milliseconds since 1970."""

    kind: str  # "beginning", "end", "stored", "offset", "last", "time"
    number: int = 0

    def place(self, consumer: Any, partitions: list[Any], timeout: float) -> None:
        """Set the offsets of TopicPartitions that are about to be assigned.

        Raises:
            KafkaException: the broker did not say which offset a time is.
        """
        if self.kind == "time":
            for partition in partitions:
                partition.offset = self.number
            found = {(one.topic, one.partition): one for one in consumer.offsets_for_times(partitions, timeout)}
            for partition in partitions:
                partition.offset = found[partition.topic, partition.partition].offset
            return
        fixed = {"beginning": _BEGINNING, "end": _END, "stored": _STORED, "offset": self.number}
        for partition in partitions:
            partition.offset = _TAIL - self.number if self.kind == "last" else fixed[self.kind]


def parsed(text: str) -> Start:
    """What was written after -o.

    Raises:
        ValueError: it is none of them.
    """
    word = text.strip()
    if word.lower() in _WORDS:
        return Start(_WORDS[word.lower()])
    if word.startswith("@"):
        return Start("time", _time(word[1:]))
    if re.fullmatch(r"-?[0-9]+", word, flags=re.ASCII) and abs(int(word)) <= _LARGEST:
        number = int(word)
        if not word.startswith("-"):
            return Start("offset", number)
        # The last 0 records begin at the end; and librdkafka counts back from -2000 in 64 bits.
        return Start("last", min(-number, _LARGEST + _TAIL)) if number else Start("end")
    raise ValueError(f"{text!r} is no offset: it takes {TAKES}")


def _time(text: str) -> int:
    """Milliseconds since 1970; a time without a zone is UTC, as brokers and `--format '{time}'` write it."""
    if re.fullmatch(r"[0-9]+", text, flags=re.ASCII) and int(text) <= _LARGEST:
        return int(text)
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))  # which Python 3.10 does not read
    except ValueError:
        raise ValueError(f"@{text} is no time: it takes milliseconds since 1970 or 2026-01-31T12:00:00") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - datetime(
        1970, 1, 1, tzinfo=timezone.utc
    )
    milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    if milliseconds < 0:
        raise ValueError(f"@{text} is before 1970")
    return milliseconds
