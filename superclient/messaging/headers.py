"""What requests and replies say in their headers: names, values, errors. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

NAMES = ("request_id", "correlation_id", "x-correlation-id")  # headers of replies that hold the id, in any case
REPLY_TOPIC = "x-reply-topic"
TOKEN = "x-superclient-request"
ERROR_CODE = "x-error-code"
ERROR_MESSAGE = "x-error-message"

Header = tuple[str, bytes | None]

_ERROR_LENGTH = 1000  # characters of an error that are sent; the log has all of it
_SHORT = 64  # characters of a header's name that is worth remembering


def text(raw: object) -> str:
    """An id as text: of bytes (which need not be UTF-8), or of what a deserializer has made of them."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bytes | bytearray | memoryview):
        return bytes(raw).decode("utf-8", "backslashreplace")
    try:
        return str(raw)
    except Exception:  # a deserializer's object that cannot be shown is nobody's id
        return ""


def pairs(headers: "Mapping[str, Any] | Iterable[tuple[str, Any]] | None") -> list[Header]:
    """Headers as they travel, in their order, with duplicates; texts as UTF-8. Raises ValueError for anything else."""
    if not headers:
        return []
    found: list[Header] = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"a header is a pair of a name and bytes; this is {pair!r}")
        name, value = pair
        value = value.encode() if isinstance(value, str) else value
        if not isinstance(name, str) or not isinstance(value, bytes | None):
            raise ValueError(f"a header is a pair of a name and bytes; the value of {name!r} is {type(value).__name__}")
        found.append((name, value))
    return found


def lower(name: str) -> str:
    return _known(name) if len(name) <= _SHORT else name.lower()


@lru_cache(1000)  # the names that come are few, and the same all the time
def _known(name: str) -> str:
    return name.lower()


def error_headers(code: str, message: str) -> list[Header]:
    """How a reply says that it is an error."""
    return [
        (ERROR_CODE, (code or "ERROR")[:_ERROR_LENGTH].encode("utf-8", "backslashreplace")),
        (ERROR_MESSAGE, message[:_ERROR_LENGTH].encode("utf-8", "backslashreplace")),
    ]


def error_of(headers: Sequence[Header]) -> tuple[str, str] | None:
    """Code and message of a reply that says so; None: it is none."""
    names = (ERROR_CODE, ERROR_MESSAGE)
    found = {known: text(value or b"") for name, value in headers if (known := lower(name)) in names}
    if ERROR_CODE not in found:
        return None
    return found[ERROR_CODE] or "ERROR", found.get(ERROR_MESSAGE) or "the server answered with an error"
