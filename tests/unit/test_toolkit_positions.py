"""Where partitions go on after records, and the view that the toolkit has of a record."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("confluent_kafka", minversion="2.12")
from confluent_kafka import Message

from superclient.toolkit import MessageResult
from superclient.toolkit.positions import ends


def runs(rng: random.Random, topics: list[str]) -> list[Message]:
    """Records as the library fetches them: some of a partition, then some of another one."""
    found, offsets = [], dict.fromkeys([(topic, partition) for topic in topics for partition in range(3)], 0)
    for _ in range(rng.choice((1, 1, 2, 6))):
        key = rng.choice(list(offsets))
        for _ in range(rng.choice((1, 2, 20))):
            offsets[key] += rng.choice((1, 1, 2))  # gaps are transactions' markers
            found.append(Message(topic=key[0], partition=key[1], offset=offsets[key]))
    return found


@pytest.mark.parametrize("topics", [["orders"], ["orders", "bills"]])
def test_the_last_record_of_each_partition_counts(topics: list[str]) -> None:
    """KLI-48: in runs, mixed, alone, of one topic or several with the same partitions."""
    rng = random.Random(len(topics))
    for _ in range(300):
        records = runs(rng, topics)
        wanted: dict[tuple[str | None, int | None], int] = {}
        for one in records:
            wanted[one.topic(), one.partition()] = (one.offset() or 0) + 1
        for known in {len(topics) == 1, False}:
            found = ends(records, known)
            assert {key: one.offset for key, one in found.items()} == wanted
            assert all((one.topic, one.partition) == key for key, one in found.items())


def test_a_record_has_its_value_and_the_message() -> None:
    """KLI-3: made one by one or by the hundred, a tombstone as well."""
    messages = [Message(topic="orders", partition=1, offset=7, key=b"k", value=value) for value in (b"v", None)]
    for results in (list(MessageResult.each(messages, [b"v", None])), [MessageResult.of(one) for one in messages]):
        assert [one.value for one in results] == [b"v", None]
        assert [one.message for one in results] == messages
        assert repr(results[1]) == "MessageResult(orders[1]@7)"
        assert results[0].to_dict()["value"] == "v"
