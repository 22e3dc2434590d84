"""What goes together: by size and linger, in the order in which it was added."""

import random

import pytest

from superclient.gofka.batches import Batches, Entry
from superclient.gofka.envelope import MOST, Record

NOW = float("-inf")


def entry(value=b"x" * 84):
    """100 bytes of a batch."""
    return Entry(Record(value, 0.0), None)


def added(batches, *entries, now=0.0):
    for each in entries:
        batches.add(each, now)
    return list(entries)


def test_a_batch_is_full_by_size():
    """GOF-13: no batch is larger than its size, and a full one is due at once."""
    batches = Batches(size=300, linger=5.0)
    given = added(batches, *(entry() for _ in range(3)))
    assert batches.due() == NOW
    given += added(batches, entry())
    assert [batches.take().entries, batches.due(), batches.take().entries] == [given[:3], 5.0, given[3:]]
    assert batches.due() is None


def test_a_record_does_not_join_what_it_would_make_too_large():
    """GOF-13: what waits goes before, and the large one alone."""
    batches = Batches(size=300, linger=5.0)
    small, large, last = added(batches, entry(), entry(b"x" * 1000), entry())
    assert batches.due() == NOW
    assert [batches.take().entries for _ in range(3)] == [[small], [large], [last]]


def test_linger_counts_from_the_first_record():
    """GOF-13: later ones do not put it off."""
    batches = Batches(size=1000, linger=5.0)
    added(batches, entry(), now=1.0)
    added(batches, entry(), now=4.0)
    assert batches.due() == 6.0
    batches.hurry()
    assert batches.due() == NOW


def test_without_linger_what_is_queued_goes_together():
    """GOF-13: linger_ms=0."""
    batches = Batches(size=1000, linger=0.0)
    given = added(batches, *(entry() for _ in range(5)), now=3.0)
    assert batches.due() == 3.0
    assert batches.take().entries == given


def test_size_0_is_no_batching():
    """GOF-2: each record alone."""
    batches = Batches(size=0, linger=0.0)
    given = added(batches, *(entry(b"") for _ in range(5)))
    assert [batches.take().entries for _ in range(5)] == [[each] for each in given]


def test_number_of_records_is_bounded():
    """GOF-13: an envelope has so many at most, however small they are."""
    batches = Batches(size=2**40, linger=0.0)
    added(batches, *(entry(b"") for _ in range(MOST + 1)))
    assert [len(batches.take().entries) for _ in range(2)] == [MOST, 1]


def test_what_is_discarded_leaves_no_trace():
    """GOF-13: also the last one of a batch; what is taken stays."""
    batches = Batches(size=300, linger=5.0)
    first, second, third = added(batches, entry(), entry(), entry())
    assert batches.discard(second)
    assert not batches.discard(second)
    batch = batches.take()
    assert (batch.entries, batch.size) == ([first, third], first.size + third.size)
    assert not batches.discard(first)
    (alone,) = added(batches, entry())
    assert batches.discard(alone)
    assert (len(batches), batches.due()) == (0, None)


@pytest.mark.parametrize("seed", range(20))
def test_order_is_kept(seed):
    """GOF-13: whatever comes, is left out and is taken: in order, nothing twice, nothing lost, sizes kept."""
    chance = random.Random(seed)
    batches, expected, found, size = Batches(500, 0.0), [], [], 500
    for _ in range(500):
        what = chance.random()
        if what < 0.7:
            expected += added(batches, entry(bytes(chance.randrange(300))))
        elif what < 0.8 and len(expected) > len(found):
            gone = chance.choice(expected[len(found) :])
            assert batches.discard(gone)
            expected.remove(gone)
        elif len(batches):
            batch = batches.take()
            assert batch.size == sum(each.size for each in batch.entries) <= size
            found += batch.entries
    while len(batches):
        found += batches.take().entries
    assert found == expected
