"""Reads JSON objects out of a file of any size: the elements of one array, or one object a line.

The grammar is the standard library's (`raw_decode`, in C); this adds the array around it, so that memory holds one
piece of the file and one element. Numbers keep the digits that they are written with: a price must not become a double.
"""

import codecs
import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from superclient.cli._pieces import BadInput, Readable, pieces

_PIECE = 1 << 20  # bytes of one read
_LARGEST = 64 << 20  # characters of one element: a broker takes far less, and input without an end must not fill memory
_UNSURE = 16  # characters: an error this close to the end of what was read may be an element that goes on
_SPACE = " \t\n\r"

# A number that is no integer is carried as text after a mark that no file can know.
_MARK = secrets.token_hex(16)


class Element(NamedTuple):
    """One object, its place among the others (from 1) and the line on which it begins (from 1)."""

    data: dict[str, Any]
    number: int
    line: int

    @property
    def where(self) -> str:
        """For messages."""
        return f"element {self.number} (line {self.line})"


def elements(stream: Readable, read: Callable[[int], None] = lambda _: None) -> Iterator[Element]:
    """The objects of the one array in `stream`; `read` is told the bytes of every piece.

    Raises:
        BadInput: no JSON, no array, something in it that is no object, something after it.
    """
    text = _Text(stream, read)
    if text.peek() != "[":
        raise BadInput(f"line {text.line}: {text.named()} instead of an array of objects")
    text.skip(1)
    number = 0
    while text.peek() != "]":
        if number and text.take_comma() == "]":
            break
        number += 1
        if text.peek() != "{":
            found = f"is {text.named()}: it takes objects" if text.peek() else f"is missing: {_END}"
            raise BadInput(f"element {number} (line {text.line}) {found}")
        line = text.line
        yield Element(text.value(number), number, line)
    text.skip(1)
    if text.peek():
        raise BadInput(f"line {text.line}: something follows the end of the array")


def lines(stream: Readable, read: Callable[[int], None] = lambda _: None) -> Iterator[Element]:
    """The objects of `stream`, one a line (NDJSON); blank lines are left out.

    Raises:
        BadInput: a line that is no JSON object.
    """
    number = 0
    for line, raw in enumerate(pieces(stream, b"\n", _LARGEST), 1):
        read(len(raw) + 1)
        if not raw.strip():
            continue
        number += 1
        try:
            found = _DECODER.decode(raw.decode("utf-8-sig" if line == 1 else "utf-8").strip(_SPACE))
        except UnicodeDecodeError:
            raise BadInput(f"line {line} is no text in UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"line {line} is no JSON: {_said(error)}") from None
        if not isinstance(found, dict):
            raise BadInput(f"line {line} is {_named(raw.decode().lstrip(_SPACE)[:5])}: it takes objects")
        yield Element(found, number, line)


def encoded(data: object) -> bytes:
    """Compact JSON in UTF-8 of what was read here, numbers with their digits."""
    try:
        return _unmarked(_ENCODE(data)).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and UTF-8 cannot
        return _unmarked(json.dumps(data, separators=(",", ":"))).encode()


def plain(data: object) -> bytes | None:
    """A text as it is, None for null, and whatever else as JSON: what a key or a header's value holds."""
    if data is None:
        return None
    if isinstance(data, str) and not data.startswith(_MARK):
        try:
            return data.encode()
        except UnicodeEncodeError:
            pass  # as above
    return encoded(data)


class _Text:
    """What is left of the stream, as text: the current piece, the position in it, and the line of that."""

    def __init__(self, stream: Readable, read: Callable[[int], None]) -> None:
        self._stream, self._read = stream, read
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self.line = 1

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self.line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def named(self) -> str:
        """What begins here, in words."""
        self.peek()
        return _named(self._text[self._at : self._at + 5])

    def skip(self, count: int) -> None:
        self._at += count

    def take_comma(self) -> str:
        """Skip the comma between two elements; "]" where the array ends instead."""
        found = self.peek()
        if found == ",":
            self.skip(1)
            if self.peek() == "]":
                raise BadInput(f"line {self.line}: the array ends after a comma")
        elif found != "]":
            raise BadInput(f"line {self.line}: " + (f"{found!r} instead of a comma" if found else _END))
        return self.peek()

    def value(self, number: int) -> dict[str, Any]:
        """The object that begins here."""
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string")
                if (cut or error.pos + _UNSURE > len(self._text)) and self._more():
                    continue
                cut = cut or not self._text[error.pos :].strip(_SPACE)
                line = self.line + self._text.count("\n", self._at, error.pos)
                said = _END if cut else f"{error.msg} in line {line}"
                raise BadInput(f"element {number} (line {self.line}) is no JSON: {said}") from None
            except (ValueError, RecursionError) as error:
                raise BadInput(f"element {number} (line {self.line}) is no JSON: {_said(error)}") from None
            self.line += self._text.count("\n", self._at, end)
            self._at = end
            return found  # type: ignore[no-any-return]  # it begins with a brace

    def _more(self) -> bool:
        if self._ended:
            return False
        left = len(self._text) - self._at
        if left > _LARGEST:
            raise BadInput(f"the element that begins in line {self.line} is larger than {_LARGEST >> 20} MiB")
        piece = self._stream.read(max(_PIECE, left))  # so much that one large element is not tried over and over
        self._read(len(piece))
        self._ended = not piece
        try:
            text = self._decoder.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            line = self.line + self._text.count("\n", self._at) + piece.count(b"\n", 0, error.start)
            raise BadInput(f"line {line} is no text in UTF-8") from None
        self._text, self._at = self._text[self._at :] + text, 0
        return not self._ended or bool(text)


_END = "it ends in the middle"


_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_float=lambda digits: _MARK + digits, parse_constant=_constant)
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _unmarked(text: str) -> str:
    return _MARKED.sub(r"\1", text) if _MARK in text else text


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _named(text: str) -> str:
    """What begins with these characters, "" at the end."""
    first = text[:1]
    kinds = {"": "nothing", "[": "an array", "{": "an object", '"': "a text"}
    words = {"true": "a boolean", "false": "a boolean", "null": "null"}
    found = kinds.get(first) or next((kind for word, kind in words.items() if text.startswith(word)), None)
    return found or ("a number" if first in "-0123456789" else f"{first!r}, which is no JSON,")
