"""`--filter`: what is left of lines and of JSON, which stays JSON."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.cli._filter import Filter

NAMES = st.sampled_from(["name", "host", "id", "other.name", "a b"])
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text("abAB1-é", max_size=4)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
PATTERNS = st.sampled_from(["a", "^b", "1", "name", "name:a", "host:^1$", "id:.", "other.name:B", "nothing:x", "."])

CLUSTER = {
    "id": "one",
    "brokers": [{"id": 1, "host": "Kafka-1"}, {"id": 2, "host": "kafka-2"}],
    "topics": {"orders": {"partitions": 3}, "payments": {"partitions": 1}},
}


def is_part(part: Any, whole: Any) -> bool:
    """Whether something is left of a document after taking away entries and items, in order, wherever they are."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and is_part(one, whole[name]) for name, one in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        left = iter(whole)
        return all(any(is_part(one, other) for other in left) for one in part)
    return part is None or part == whole


@given(DOCUMENTS, PATTERNS)
def test_what_is_left_is_part_of_it(document: Any, pattern: str):
    """KLI-32: filtered JSON is a part of the whole, of its kind, valid, and filtering it again takes nothing away."""
    kept = Filter(pattern).document(document)
    assert is_part(kept, document)
    assert isinstance(kept, type(document)) or kept is None
    assert json.loads(json.dumps(kept)) == kept
    assert Filter(pattern).document(kept) == kept


@given(st.dictionaries(NAMES, DOCUMENTS, max_size=4), PATTERNS)
def test_a_record_stays_where_a_document_would_keep_something(record: dict[str, Any], pattern: str):
    """KLI-31, KLI-32: one of many is kept as a whole exactly if something of it, as an item of a list, is left."""
    assert Filter(pattern).keeps(record) == bool(Filter(pattern).document([record]))


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("host:^kafka-1$", {"brokers": [{"id": 1, "host": "Kafka-1"}]}),
        ("id:^2$", {"brokers": [{"id": 2, "host": "kafka-2"}]}),
        ("id:one", CLUSTER),
        ("partitions:3", {"topics": {"orders": {"partitions": 3}}}),
        ("partitions:9", {}),
        ("kafka-2", {"brokers": [{"id": 2, "host": "kafka-2"}]}),
        ("PAYMENTS", {"topics": {"payments": {"partitions": 1}}}),
    ],
)
def test_examples(pattern: str, kept: Any):
    """KLI-31, KLI-32: by key, nested, what does not match is gone; without a key, items and entries that match stay."""
    assert Filter(pattern).document(CLUSTER) == kept


@pytest.mark.parametrize(
    ("pattern", "line", "kept"),
    [
        ("ERROR", "an error", True),
        ("error", "fine", False),
        ("12:30", "at 12:30 it was", True),
        ("status:failed", '{"order": 1, "status": "FAILED"}', True),
        ("status:failed", '{"order": 1, "status": "done"}', False),
        ("status:failed", '{"order": {"status": "failed"}}', True),
        ("status:failed", "status:failed, in plain words", True),
        ("status:failed", '{"no JSON', False),
    ],
)
def test_lines(pattern: str, line: str, kept: bool):
    """KLI-31: a line stays that matches, whatever its case; one of JSON also by a key of it."""
    assert Filter(pattern).keeps_line(line) is kept


def test_no_regular_expression():
    """KLI-31: a pattern that is none is a mistake of whoever wrote it, in one line."""
    with pytest.raises(click.UsageError, match="is no regular expression"):
        Filter("name:(")
