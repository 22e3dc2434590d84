"""The places at which consuming begins, in the words of kcat and rpk: `-o beginning | end | stored | N | -N | @TIME`"""

import re
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import Any, NamedTuple

_WORDS = {
    "beginning": "beginning", "start": "beginning", "earliest": "beginning",
    "end": "end", "latest": "end",
    "stored": "stored",
}  # fmt: skip
_LARGEST = 2**63 - 1
TAKES = "beginning, end, stored, N, -N (the last N of each partition), @MILLISECONDS or @2026-01-31T12:00:00"


class Start(NamedTuple):
    """Where to begin: one of the words, an offset, a count of last records, or a time in milliseconds since 1970."""

    kind: str  # "beginning", "end", "stored", "offset", "last", "time"
    number: int = 0

    def place(self, client: Any, partitions: list[Any], timeout: float) -> None:
        """Set the offsets of TopicPartitions that are about to be read; each is within what the partition has.

        Beyond its end the library would begin again where `auto.offset.reset` says, at the very beginning.

        Raises:
            KafkaException: the brokers did not say what there is.
        """
        if self.kind == "stored":
            return
        times = {}
        if self.kind == "time":
            for one in partitions:
                one.offset = self.number
            times = {one.partition: one.offset for one in client.offsets_for_times(partitions, timeout)}
        for one in partitions:
            low, high = client.get_watermark_offsets(one, timeout)
            wanted = {
                "beginning": low,
                "end": high,
                "offset": self.number,
                "last": high - self.number,
                "time": high if times.get(one.partition, -1) < 0 else times[one.partition],
            }[self.kind]
            one.offset = max(low, min(wanted, high))


def parsed(text: str) -> Start:
    """What was written after -o.

    Raises:
        ValueError: it is none of them.
    """
    word = text.strip()
    if word.lower() in _WORDS:
        return Start(_WORDS[word.lower()])
    if word.startswith(("@", "s@")):
        return Start("time", _time(word.partition("@")[2]))
    if re.fullmatch(r"-?[0-9]+", word, flags=re.ASCII) and abs(int(word)) <= _LARGEST:
        number = int(word)
        if not word.startswith("-"):
            return Start("offset", number)
        return Start("last", -number) if number else Start("end")
    raise ValueError(f"{text!r} is no offset: it takes {TAKES}")


def meant(text: str) -> bool:
    """Whether somebody who wrote this meant an offset: one, or one that is misspelt; else it may be a file."""
    # Also what kcat and rpk have beyond that, the ends of ranges: refused, and no surprising name of a file.
    word = text.lower().partition(":")[0]
    return bool(re.match(r"[@+:-]|[se]@|[0-9]+(:|$)", text) or get_close_matches(word, _WORDS, 1, 0.75))


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
