"""What travels inside the raw messages: nothing where nothing is needed, and never anything that cannot be read."""

import ast
import gzip
import json
import os
import struct
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superclient.gofka.codecs import UnknownCodecError, codec
from superclient.gofka.envelope import (
    FIXED,
    MAGIC,
    MAX_RECORDS,
    MOST,
    Duplicates,
    Record,
    decode,
    encode,
    is_enveloped,
    packed,
)
from superclient.gofka.errors import ConsumeError, ProduceError
from superclient.gofka.partitioning import by_key, murmur2

CODECS = (None, "gzip", "snappy", "lz4")
PACKAGES = {"snappy": ("snappy", "python-snappy"), "lz4": ("lz4.frame", "lz4")}


def one(value=b"value", **given):
    return Record(value, given.pop("timestamp", 1.5), **given)


def sealed(records, name=None, producer_id=7, sequence=3):
    return encode(records, codec=codec(name) if name else None, producer_id=producer_id, sequence=sequence)


headers = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.binary(max_size=9)))
records = st.lists(
    st.tuples(
        st.binary(max_size=60),
        st.none() | st.binary(max_size=9),
        headers,
        st.integers(0, 2**41),
        st.integers(0, 2**31 - 1),
    ),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)
@given(records, st.sampled_from(CODECS), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_what_goes_in_comes_out(given_records, name, producer_id, sequence):
    """GOF-10, GOF-18, GOF-38: any key, headers, timestamp and partition, alone or in a batch, in every codec."""
    made = [Record(v, ms / 1000, k, packed(h), p) for v, k, h, ms, p in given_records]
    message = sealed(made, name, producer_id, sequence)
    found = decode(message)
    assert [(d.value, d.key, list(d.headers)) for d in found] == [(v, k, h) for v, k, h, _, _ in given_records]
    if is_enveloped(message):
        assert [(d.timestamp, d.partition) for d in found] == [(ms / 1000, p) for *_, ms, p in given_records]
        assert [(d.producer_id, d.sequence) for d in found] == [(producer_id, sequence + i) for i in range(len(made))]


def test_the_layout_is_written_down():
    """GOF-10, GOF-39: byte by byte, since other versions of this client, and other clients, read what is stored."""
    headers = struct.pack(">I", 1) + b"h" + struct.pack(">I", 2) + b"xy"
    columns = struct.pack(">2q2I2i2I2i", 1500, 2000, 2, 0, 1, -1, len(headers), 0, 3, 0) + b"v1" + b"k" + headers
    rest = struct.pack(">BBQQII", 0, 7, 1, 2, 2, len(columns)) + columns
    made = [Record(b"v1", 1.5, b"k", packed({"h": b"xy"}), 3), Record(b"", 2.0)]
    message = sealed(made, producer_id=1, sequence=2)
    assert message == b"\xffGOFKA\x01\n" + struct.pack(">I", zlib.crc32(rest)) + rest
    for columns_there, record in (
        (0, one()),
        (1, one(key=b"")),
        (2, one(headers=packed({"h": b""}))),
        (4, one(partition=1)),
    ):
        assert sealed([record, one()])[13] == columns_there
    assert [sealed([one(b"a" * 1000)], name)[12] for name in CODECS[1:]] == [1, 2, 3]
    assert [sealed([one(os.urandom(1000))], name)[12] for name in CODECS[1:]] == [0, 0, 0]
    assert decode(sealed([one(timestamp=1.001), one()]))[0].timestamp == 1.001  # 1000.99… ms, in a float


ONE_VALUE = struct.pack(">qI", 1500, 1)
LIES = {
    "larger than told": (0, 13, ONE_VALUE + b"vx"),
    "smaller than told": (0, 14, ONE_VALUE + b"v"),
    "more behind the records": (0, 14, ONE_VALUE + b"vx"),
    "a value that goes on": (0, 13, struct.pack(">qI", 1500, 2) + b"v"),
    "a partition below 0": (4, 17, ONE_VALUE + struct.pack(">i", -1) + b"v"),
    "a header without value": (2, 22, ONE_VALUE + struct.pack(">I", 5) + b"v" + struct.pack(">I", 1) + b"h"),
    "a header that goes on": (2, 26, ONE_VALUE + struct.pack(">I", 9) + b"v" + struct.pack(">IbI", 1, 104, 1)),
    "a header's name not of UTF-8": (2, 26, ONE_VALUE + struct.pack(">I", 9) + b"v" + struct.pack(">IBI", 1, 255, 0)),
}


@pytest.mark.parametrize("lie", [None, *LIES])
def test_what_does_not_add_up_is_raw(lie):
    """GOF-39: although its CRC is right; the first is what all would be, were they true."""
    columns, size, data = LIES[lie] if lie else (0, 13, ONE_VALUE + b"v")
    rest = struct.pack(">BBQQII", 0, columns, 1, 2, 1, size) + data
    message = MAGIC + struct.pack(">I", zlib.crc32(rest)) + rest
    assert [each.value for each in decode(message)] == [message if lie else b"v"]


def test_an_envelope_has_so_many_records_at_most():
    """GOF-37: what claims more is raw, even where all else is right."""
    for count in (MOST, MOST + 1):
        rest = struct.pack(">BBQQII", 0, 0, 1, 2, count, FIXED * count) + bytes(FIXED * count)
        message = MAGIC + struct.pack(">I", zlib.crc32(rest)) + rest
        assert len(decode(message)) == (count if count == MOST else 1)


def test_a_bare_record_is_raw():
    """GOF-39: nothing around a record that needs nothing; decoded, it has no timestamp and no producer."""
    assert sealed([one(b"plain")]) == b"plain"
    assert sealed([one(b"")]) == b""
    assert decode(b"plain") == [(None, b"plain", (), None, 0, None, None)]


@pytest.mark.parametrize(
    "needy",
    [[one(key=b"")], [one(headers=packed({"a": b""}))], [one(partition=1)], [one(MAGIC + b"x")], [one(), one()]],
    ids=["key", "headers", "partition", "magic", "batch"],
)
def test_a_record_that_needs_an_envelope_has_one(needy):
    """GOF-39: a key, even an empty one, headers, a partition, bytes that look like an envelope, or company."""
    message = sealed(needy)
    assert is_enveloped(message)
    assert [(d.key, d.value) for d in decode(message)] == [(each.key, each.value) for each in needy]


def test_an_envelope_as_a_value_comes_out_as_it_went_in():
    """GOF-39: what somebody copies from topic to topic as it is, is one record, and not what is in it."""
    value = sealed([one(b"a", key=b"k"), one(b"b")])
    assert [each.value for each in decode(sealed([one(value)]))] == [value]


def test_no_other_format_begins_like_an_envelope():
    """GOF-39: not text, JSON, gzip, zlib or protobuf (whose wire type would be 7)."""
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode()
    assert MAGIC[0] & 7 == 7
    for other in (json.dumps({}).encode(), gzip.compress(b""), zlib.compress(b"")):
        assert other[0] != MAGIC[0]


@settings(deadline=None)
@given(st.data())
def test_whatever_is_broken_is_raw(data):
    """GOF-39: truncated, lengthened, or with a byte changed: the value as it is, never an error."""
    message = sealed(
        [one(b"a" * 50, key=b"k", headers=packed([("h", b"v")])), one(b"b" * 50)], data.draw(st.sampled_from(CODECS))
    )
    place = data.draw(st.integers(0, len(message) - 1))
    broken = data.draw(
        st.sampled_from(
            [message[:place], message + b"\0", message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :]]
        )
    )
    assert decode(broken) == [(None, broken, (), None, 0, None, None)]


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary())
def test_lies_with_a_good_checksum_are_raw(number, columns, count, size, data):
    """GOF-37: whoever forges the CRC makes nothing loop, grow or fail."""
    rest = struct.pack(">BBQQII", number, columns, 1, 1, count, size) + data
    forged = MAGIC + struct.pack(">I", zlib.crc32(rest)) + rest
    assert [each.value for each in decode(forged)] == [forged]


@pytest.mark.parametrize("name", CODECS[1:])
def test_a_bomb_is_raw(name):
    """GOF-37: what unpacks to more than it says is not unpacked further than that."""
    count, size = 1, 12
    data = codec(name).compress(bytes(2**24))
    rest = struct.pack(">BBQQII", codec(name).number, 0, 1, 1, count, size) + data
    forged = MAGIC + struct.pack(">I", zlib.crc32(rest)) + rest
    assert decode(forged)[0].value == forged
    rest = struct.pack(">BBQQII", codec(name).number, 0, 1, 1, count, MAX_RECORDS + 1) + data
    forged = MAGIC + struct.pack(">I", zlib.crc32(rest)) + rest
    assert decode(forged)[0].value == forged


@pytest.mark.parametrize("name", CODECS[1:])
def test_compression_makes_it_smaller_or_is_left_out(name):
    """GOF-10: what compresses is compressed, and what does not is no larger for it."""
    assert len(sealed([one(b"a" * 10_000)], name)) < 1000
    noise = os.urandom(10_000)
    assert len(sealed([one(noise)], name)) < 10_100
    assert decode(sealed([one(noise)], name))[0].value == noise


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_codec_names_its_package(name, monkeypatch):
    """GOF-11: for the producer and for the consumer."""
    message = sealed([one(b"a" * 1000)], name)
    module, package = PACKAGES[name]
    for each in {module, module.partition(".")[0]}:
        monkeypatch.setitem(sys.modules, each, None)
    with pytest.raises(ProduceError, match=f"pip install {package}") as refused:
        codec(name)
    assert refused.value.stored is False
    with pytest.raises(ConsumeError, match=f"pip install {package}"):
        decode(message)


def test_an_unknown_codec_is_refused():
    """GOF-11: with those that there are."""
    with pytest.raises(UnknownCodecError, match="'gzip', 'snappy', 'lz4'; it is 'zstd'") as refused:
        codec("zstd")
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("bad", [["ab"], [("a",)], [(b"a", b"b")], {"a": 1}, [("a", None)]])
def test_headers_that_are_none_are_refused(bad):
    """GOF-18: a pair of a name and bytes, nothing else."""
    with pytest.raises(TypeError, match="a header is a pair"):
        packed(bad)


def test_headers_keep_order_and_doubles():
    """GOF-18: a mapping or pairs; text is UTF-8."""
    message = sealed([one(headers=packed([("a", b"1"), ("ä", "ü"), ("a", b"2")]))])
    assert decode(message)[0].headers == (("a", b"1"), ("ä", "ü".encode()), ("a", b"2"))
    assert decode(sealed([one(headers=packed({"a": b"1"}))]))[0].headers == (("a", b"1"),)


def test_a_copy_is_told_from_its_original():
    """GOF-2, hazards: the same bytes again are a copy, however many came in between; raw values never are."""
    seen = Duplicates(producers=2, each=3)
    first, second = (decode(sealed([one(), one()], sequence=n)) for n in (0, 2))
    other = decode(sealed([one(), one()], producer_id=8, sequence=0))
    assert [seen.seen(each) for each in (first, second, other, first, second, other)] == [False] * 3 + [True] * 3
    assert not seen.seen(decode(b"raw"))
    assert not seen.seen(decode(b"raw"))


def test_duplicates_are_remembered_in_bounded_memory():
    """Hazards: of the last producers, the last envelopes."""
    seen = Duplicates(producers=2, each=3)
    for producer in range(50):
        for sequence in range(50):
            assert not seen.seen(decode(sealed([one(), one()], producer_id=producer, sequence=sequence)))
    assert len(seen._seen) == 2
    assert all(len(each) == 3 for each in seen._seen.values())
    assert seen.seen(decode(sealed([one(), one()], producer_id=49, sequence=49)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_the_java_clients(key, expected):
    """GOF-16: the vectors of Apache Kafka's own UtilsTest."""
    assert murmur2(key) == expected & 0x7FFFFFFF
    assert by_key("t", key, 7) == (expected & 0x7FFFFFFF) % 7


def test_a_keys_partition_is_the_same_in_every_process():
    """GOF-16: whatever PYTHONHASHSEED is; a record without key stays in partition 0."""
    program = (
        "from superclient.gofka.partitioning import by_key; print([by_key('t', b'%d' % i, 12) for i in range(50)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{[by_key('t', b'%d' % i, 12) for i in range(50)]}\n".encode()}
    assert by_key("t", None, 12) == 0


def test_no_module_but_the_standard_librarys():
    """GOF-31: codecs with a package of their own are imported when they are asked for."""

    def loaded(module):
        program = f"import sys, {module}; print(sorted({{n.partition('.')[0] for n in sys.modules}}))"
        env = {**os.environ, "SUPERSTREAM_DISABLED": "true"}
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True)
        return set(ast.literal_eval(done.stdout.decode()))

    assert loaded("superclient.gofka.producer") - loaded("superclient") <= set(sys.stdlib_module_names)
