"""Streaming JSON into records: each element as json.loads has it, however it is cut; bad input named with its place."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superclient.cli import _json_array
from superclient.cli._json_array import elements, encoded, lines, plain
from superclient.cli._pieces import BadInput

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class _Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a slow pipe does."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__(data)
        self._piece = piece

    def read(self, size=-1):
        return super().read(self._piece)


@settings(max_examples=30, deadline=None)  # a busy machine is no failure
@given(st.lists(st.dictionaries(st.text(), _VALUES, max_size=5), max_size=6), st.integers(1, 40), st.booleans())
def test_elements_of_any_array_in_any_pieces(wanted, piece, pretty):
    """KLI-35: what comes out is what json.loads finds, however the file is cut."""
    text = json.dumps(wanted, indent=2 if pretty else None, ensure_ascii=pretty).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return  # half of a surrogate pair, raw: no UTF-8
    found = list(elements(_Dripping(text, piece)))
    assert [json.loads(encoded(one.data)) for one in found] == wanted
    assert [one.number for one in found] == list(range(1, len(wanted) + 1))
    assert [one.line for one in found] == [1 + text[:at].count(b"\n") for at in _starts(text.decode(), len(wanted))]


def _starts(text: str, count: int) -> list[int]:
    """Where each element begins, in bytes."""
    at, found = 1, []
    for _ in range(count):
        at = text.index("{", at)
        found.append(len(text[:at].encode()))
        at = json.JSONDecoder().raw_decode(text, at)[1]
    return found


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_digits(number: Decimal):
    """KLI-35: a price with more digits than a double holds arrives as it is written."""
    text = f"{number:f}" if "." in f"{number:f}" else f"{number:f}.0"
    [one] = elements(io.BytesIO(f'[{{"price": {text}}}]'.encode()))
    assert encoded(one.data) == f'{{"price":{text}}}'.encode()
    assert plain(one.data["price"]) == text.encode()


def test_keys_and_header_values():
    """KLI-35: a text as it is, null as nothing, whatever else as JSON."""
    [one] = elements(io.BytesIO(b'[{"a": "x y", "b": null, "c": 7, "d": [1, {"e": 2.50}], "f": "\\ud800"}]'))
    assert [plain(one.data[name]) for name in "abcdf"] == [b"x y", None, b"7", b'[1,{"e":2.50}]', b'"\\ud800"']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "nothing instead of an array"),
        (b'{"a": 1}', "an object instead of an array"),
        (b'"a"', "a text instead of an array"),
        (b"hello", "'h', which is no JSON, instead of an array"),
        (b"[1, 2]", "element 1 (line 1) is a number"),
        (b"[[1]]", "element 1 (line 1) is an array"),
        (b'[{},\n "x"]', "element 2 (line 2) is a text"),
        (b"[{},\nnull]", "element 2 (line 2) is null"),
        (b"[", "it ends in the middle"),
        (b"[{},", "it ends in the middle"),
        (b'[{"a": 1', "it ends in the middle"),
        (b'[{"a": "x', "it ends in the middle"),
        (b'[{},\n{"a" 1},' + b" " * 50, "Expecting ':' delimiter in line 2"),
        (b'[{"a": tru }]', "Expecting value in line 1"),
        (b"[{} {}]", "instead of a comma"),
        (b"[{},]", "ends after a comma"),
        (b"[{}] []", "something follows the end"),
        (b'[{"a": NaN}]', "NaN is no JSON"),
        (b'[\n{"a": "\xff"}]', "line 2 is no text in UTF-8"),
        (b"[" + b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_bad_input_is_named_with_its_place(text, said):
    """KLI-35: anything but an array of objects is refused, and the message says where."""
    with pytest.raises(BadInput) as raised:
        list(elements(io.BytesIO(text)))
    assert said in str(raised.value)


def test_one_element_without_an_end_does_not_fill_memory(monkeypatch):
    """A file that opens a text and never closes it is given up, not read to its end."""
    monkeypatch.setattr(_json_array, "_LARGEST", 10_000)
    monkeypatch.setattr(_json_array, "_PIECE", 1000)
    stream = io.BytesIO(b'[{"a": "' + b"x" * 1_000_000)
    with pytest.raises(BadInput, match="is larger than"):
        list(elements(stream))
    assert stream.tell() < 100_000


def test_elements_come_while_the_file_is_read(monkeypatch):
    """KLI-35: the first element is there before the rest has been read; progress counts every byte."""
    monkeypatch.setattr(_json_array, "_PIECE", 100)
    text = json.dumps([{"number": number} for number in range(1000)]).encode()
    stream, read = io.BytesIO(text), []
    found = elements(stream, read.append)
    assert next(found).data == {"number": 0}
    assert stream.tell() == 100
    assert len(list(found)) == 999
    assert sum(read) == len(text)


def test_lines():
    """KLI-35: with --lines an object a line, blank lines left out."""
    found = list(lines(io.BytesIO(b'\xef\xbb\xbf{"a": 1.0}\r\n\n  {"b": 2}')))
    assert [(encoded(one.data), one.number, one.line) for one in found] == [(b'{"a":1.0}', 1, 1), (b'{"b":2}', 2, 3)]


@pytest.mark.parametrize(
    ("text", "said"),
    [(b'{}\n{"a"', "line 2 is no JSON"), (b"{}\n[1]", "line 2 is an array"), (b"\xff", "line 1 is no text in UTF-8")],
)
def test_bad_lines(text, said):
    """KLI-35: a line that is no object is refused by its number."""
    with pytest.raises(BadInput, match=said):
        list(lines(io.BytesIO(text)))
