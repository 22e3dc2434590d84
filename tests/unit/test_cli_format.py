"""`--format` and `-o`: what they take, what they write, and what is a usage error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superclient.cli import _format, _offsets_option
from superclient.cli._offsets_option import Start


class _Message:
    """As much of a confluent_kafka.Message as a format reads."""

    def __init__(self, key=b"k", value=b"v", headers=None, stamp=(1, 1767225600123)):
        self._key, self._value, self._headers, self._stamp = key, value, headers, stamp

    def key(self):
        return self._key

    def value(self):
        return self._value

    def headers(self):
        return self._headers

    def topic(self):
        return "orders"

    def partition(self):
        return 2

    def offset(self):
        return 41

    def timestamp(self):
        return self._stamp


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{value}", b"v"),
        (r"{key} {value}\n", b"k v\n"),
        (r"{topic}/{partition}@{offset}\t{headers}\n", b"orders/2@41\ta=1,b,c=\n"),
        ("{timestamp} {time}", b"1767225600123 2026-01-01T00:00:00.123Z"),
        ("{{{value}}} 100% %s", b"{v} 100% %s"),
        (r"\0\x00\xff\\n", b"\0\0\xff\\n"),
        ("plain", b"plain"),
        ("", b""),
    ],
)
def test_formats(text, written):
    """Fields, escapes and braces; nothing is added."""
    message = _Message(headers=[("a", b"1"), ("b", None), ("c", b"")])
    assert _format.compiled(text)(message) == written


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_bytes_stay_as_they_are(key, value):
    """Keys and values are bytes, percent signs and all."""
    assert _format.compiled(r"%{key}\t{value}\n")(_Message(key, value)) == b"%" + key + b"\t" + value + b"\n"


def test_what_a_record_does_not_have_is_empty():
    """A tombstone, no key, no headers, no time."""
    message = _Message(None, None, None, (0, -1))
    assert _format.compiled("[{key}|{value}|{headers}|{timestamp}|{time}]")(message) == b"[||||]"


def test_a_time_beyond_the_calendar_is_its_number():
    """A producer may write any number for a time."""
    assert _format.iso(2**62) == str(2**62)


@pytest.mark.parametrize(
    "text",
    ["{nope}", "{}", "{0}", "{key.__class__}", "{key[0]}", "{key!r}", "{key:>9}", "{key", "key}", r"\q", "x\\", r"\x1"],
)
def test_formats_that_are_refused(text):
    """Issue: an unknown key in --format is a usage error; so is whatever reads more than the record."""
    with pytest.raises(ValueError, match=r"it takes|brace|escape"):
        _format.compiled(text)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Start("beginning")),
        ("Earliest", Start("beginning")),
        ("start", Start("beginning")),
        ("end", Start("end")),
        ("latest", Start("end")),
        ("stored", Start("stored")),
        ("0", Start("offset", 0)),
        ("42", Start("offset", 42)),
        ("-3", Start("last", 3)),
        ("-0", Start("end")),
        ("@1767225600123", Start("time", 1767225600123)),
        ("@2026-01-01", Start("time", 1767225600000)),
        ("s@1767225600123", Start("time", 1767225600123)),
        ("@2026-01-01T00:00:00.123Z", Start("time", 1767225600123)),
        ("@2026-01-01T01:00:00+01:00", Start("time", 1767225600000)),
    ],
)
def test_offsets(text, start):
    """Issue: -o takes beginning, end, N, -N and @timestamp, as kcat writes it too."""
    assert _offsets_option.parsed(text) == start


@pytest.mark.parametrize("text", ["", "middle", "1.5", "--3", "@", "@soon", "@1969-12-31", "99999999999999999999", "٣"])
def test_offsets_that_are_none(text):
    """Anything else is refused, and the message says what there is."""
    with pytest.raises(ValueError, match=r"no offset|no time|before 1970"):
        _offsets_option.parsed(text)


@pytest.mark.parametrize("text", ["e@1767225600123", ":end", "1:3", "start:end", "end:", "+5", "@1:@2", "beginnning"])
def test_what_was_meant_as_an_offset_is_no_file(text):
    """Issue: what kcat or rpk take after -o, and we do not, is refused: else it would be a file's name."""
    assert _offsets_option.meant(text)
    with pytest.raises(ValueError, match=r"no offset|no time"):
        _offsets_option.parsed(text)


@pytest.mark.parametrize("text", ["orders.json", "out", "./5", "/tmp/e", "s", "c:\\out"])
def test_what_is_a_file(text):
    """-o stays the output file where nobody can have meant an offset."""
    assert not _offsets_option.meant(text)
