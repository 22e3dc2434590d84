"""Specs and auto_commit: what is meant by them, and the one clear error where nothing can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient import messaging
from superclient.messaging.parsing import Routes, checked


@dataclass
class Order:
    number: int


class Audit: ...


def parse(_: Any) -> Any: ...


async def parse_later(_: Any) -> Any: ...


def spec(*topics: Any, kind: Any = Order, parser: Any = parse) -> Any:
    return {"topics": topics, "type": kind, "parser": parser}


def test_each_spec_of_a_topic_counts() -> None:
    """SDM-2: several specs and types for one topic, in the order in which they were given."""
    first, second, third = spec("a", "b"), spec("a", kind=Audit), spec("a", kind=Order)
    routes = Routes([first, second, third])
    assert routes.topics == {"a", "b"}
    assert routes.by_topic == {"a": [first, second, third], "b": [first]}
    assert list(routes.topics_of(Order)) == ["a", "b"]
    assert list(routes.topics_of(Audit)) == ["a"]


@pytest.mark.parametrize("topics", [["a"], ("a",), {"a"}, frozenset({"a"}), {"a": 1}.keys()])
def test_topics_are_any_collection(topics: Any) -> None:
    """SDM-1: a list, a tuple, a set."""
    assert Routes([{"topics": topics, "type": Order, "parser": parse}]).topics == {"a"}


def test_specs_may_be_an_iterator() -> None:
    """SDM-1: they are read once."""
    assert Routes(spec(name) for name in "ab").topics == {"a", "b"}


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([], "at least one ParserSpec"),
        ([{"topics": "orders", "type": Order, "parser": parse}], "list of names.*'orders'"),
        ([spec()], "at least one"),
        ([spec("")], "at least one character"),
        ([spec("a", 3)], "text of at least one character.*3"),
        ([spec("a", b"b")], "text of at least one character.*b'b'"),
        ([spec("a", parser=None)], "parser of Order is not callable: None"),
        ([spec("a", parser=parse_later)], "parser of Order is async"),
        ([{"topics": ["a"], "type": Order}], "parser"),
        ([{"type": Order, "parser": parse}], "topics"),
        ([{"topics": ["a"], "parser": parse}], "type"),
        ([{"topics": None, "type": Order, "parser": parse}], "None"),
        ([{"topics": 5, "type": Order, "parser": parse}], "5"),
        (spec("a"), "list"),
        (["a"], "ParserSpec.*'a'"),
    ],
)
def test_specs_that_cannot_be_meant(specs: Any, said: str) -> None:
    """SDM-1: a ValueError that says what is wrong, at once."""
    with pytest.raises(ValueError, match=said):
        Routes(specs)


def test_a_type_that_no_spec_has() -> None:
    """SDM-1: the error names those that there are."""
    with pytest.raises(ValueError, match="no parser has the type int; they have Audit, Order"):
        Routes([spec("a"), spec("a", kind=Audit)]).topics_of(int)


def test_a_base_class_is_another_type() -> None:
    """SDM-1: readers get what they asked for, and nothing that only derives from it."""

    class Special(Order): ...

    with pytest.raises(ValueError, match="no parser has the type Order"):
        Routes([spec("a", kind=Special)]).topics_of(Order)


@pytest.mark.parametrize("fine", [None, {}, {"every": 1}, {"interval_s": 0.5}, {"every": 100, "interval_s": 1}])
def test_auto_commit_as_it_may_be(fine: Any) -> None:
    """SDM-9: by count, by interval, both, neither; None for never."""
    assert checked(fine) == fine


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"every": 0}, "every is a whole number above 0; it is 0"),
        ({"every": -1}, "-1"),
        ({"every": 1.5}, "1.5"),
        ({"every": True}, "True"),
        ({"every": "5"}, "'5'"),
        ({"every": None}, "None"),
        ({"interval_s": 0}, "interval_s is a number of seconds above 0; it is 0"),
        ({"interval_s": float("nan")}, "nan"),
        ({"interval_s": False}, "False"),
        ({"interval_s": "1"}, "'1'"),
        ({"interval": 1}, "auto_commit has no 'interval'; it has every and interval_s"),
        ({"every": 5, "Every": 5}, "Every"),
    ],
)
def test_auto_commit_that_cannot_be_meant(bad: Any, said: str) -> None:
    """SDM-9: a ValueError that names the field, what it holds and what it takes."""
    with pytest.raises(ValueError, match=said):
        checked(bad)


@pytest.mark.parametrize("bad", [True, 5, "every", [1]])
def test_auto_commit_that_is_no_mapping(bad: Any) -> None:
    """SDM-9: the error says what it takes."""
    with pytest.raises(ValueError, match="every and interval_s"):
        checked(bad)


@given(
    st.dictionaries(
        st.sampled_from(["every", "interval_s", "else"]), st.one_of(st.none(), st.text(), st.floats(), st.integers())
    )
)
def test_checked_returns_the_same_or_refuses(auto_commit: Any) -> None:
    """SDM-9: nothing but a ValueError, whatever it is; what is let through has numbers above 0."""
    try:
        assert checked(auto_commit) is auto_commit
    except ValueError:
        return
    assert all(value > 0 for value in auto_commit.values())
    assert set(auto_commit) <= {"every", "interval_s"}


def test_public_names() -> None:
    """SDM-1: what the package promises is there, and nothing is imported for it before it is asked for."""
    for name in messaging._PUBLIC:
        assert name in dir(messaging)
        assert getattr(messaging, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = messaging.Nothing  # type: ignore[attr-defined]
