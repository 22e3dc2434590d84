"""The `--format` of consumed records: `{key} {value}\\n`, compiled once, applied to bytes as they are.

The fields are those of the record and no more: no attribute, index, conversion or width, so that a format that somebody
hands to somebody reads nothing else. As with kcat's -f nothing is added: a newline is written where the format has one.
"""

import re
import string
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

Writer = Callable[[Any], bytes]
"""From a confluent_kafka.Message to what is written of it."""


def compiled(text: str) -> Writer:
    """The function that writes one record.

    Raises:
        ValueError: a field that records do not have, braces that do not match, an escape that is none.
    """
    parts: list[bytes | Writer] = []
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; a brace of its own is {{{{ or }}}}") from None
    for literal, name, width, conversion in parsed:
        if literal:
            parts.append(unescaped(literal))
        if name is None:
            continue
        if name not in FIELDS or width or conversion:
            shown = name + (f"!{conversion}" if conversion else "") + (f":{width}" if width else "")
            raise ValueError(f"{text!r} has {{{shown}}}: it takes " + ", ".join(f"{{{field}}}" for field in FIELDS))
        parts.append(FIELDS[name])
    return _joined(parts)


def iso(milliseconds: int | None) -> str:
    """A timestamp in UTC, to the millisecond; "" for none."""
    if milliseconds is None:
        return ""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):  # a record may have any number
        return str(milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def timestamp(message: Any) -> int | None:
    """Milliseconds since 1970, None where the record has none."""
    kind, stamp = message.timestamp()
    return int(stamp) if kind else None


def _headers(message: Any) -> bytes:
    """name=value,…; a header without a value is its name alone."""
    pairs = message.headers() or ()
    return b",".join(name.encode() + (b"" if value is None else b"=" + value) for name, value in pairs)


FIELDS: dict[str, Writer] = {
    "key": lambda message: message.key() or b"",
    "value": lambda message: message.value() or b"",
    "headers": _headers,
    "offset": lambda message: b"%d" % message.offset(),
    "partition": lambda message: b"%d" % message.partition(),
    "topic": lambda message: message.topic().encode(),
    "timestamp": lambda message: b"" if (stamp := timestamp(message)) is None else b"%d" % stamp,
    "time": lambda message: iso(timestamp(message)).encode(),
}

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


def _joined(parts: list[bytes | Writer]) -> Writer:
    # One % for all literals: the bytes in between are filled in, however many there are.
    template = b"".join(b"%b" if callable(part) else part.replace(b"%", b"%%") for part in parts)
    writers = [part for part in parts if callable(part)]
    if len(writers) == 1:
        only = writers[0]
        return lambda message: template % only(message)
    return lambda message: template % tuple([write(message) for write in writers])


def unescaped(text: str) -> bytes:
    r"""Text with \n \t \r \0 \\ and \xNN written out, as bytes.

    Raises:
        ValueError: another escape.
    """

    def one(found: re.Match[str]) -> str:
        name = found[1]
        if name in _ESCAPES:
            return _ESCAPES[name]
        if len(name) == 3:
            code = int(name[1:], 16)
            return chr(code if code < 0x80 else 0xDC00 + code)  # a byte that is no text: surrogateescape
        raise ValueError(f"\\{name} in {text!r} is no escape: there are \\n \\t \\r \\0 \\\\ and \\xNN")

    escaped = re.sub(r"\\(x[0-9A-Fa-f]{2}|.|$)", one, text, flags=re.DOTALL)
    return escaped.encode("utf-8", "surrogateescape")
