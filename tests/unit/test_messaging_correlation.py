"""Which reply is whose, and where a request wants its replies: all of it without a broker."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.messaging import correlation
from superclient.messaging.address import Address
from superclient.messaging.correlation import Unmatched, Waiter, Waiters, outgoing
from superclient.messaging.headers import error_headers, error_of, pairs, text

HERE = [("x-reply-topic", b"replies")]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Requester:
    """Adds requests as KafkaRPC does, and remembers what each would send."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.waiters = Waiters(self.clock)

    def ask(
        self,
        key: Any = None,
        given_id: str | None = None,
        way: str = "both",
        name: str = "request_id",
        headers: Any = None,
    ) -> tuple[Waiter, Any, list[Any]]:
        waiter = self.waiters.add(object(), given_id, key, way, name)
        return waiter, *outgoing(waiter, key, way, name, pairs(headers), HERE)

    def end(self, waiter: Waiter, replied: bool = True) -> None:
        waiter.replied = replied
        self.waiters.retire(waiter)

    def empty(self) -> bool:
        tables = ("_by_id", "_by_token", "_by_base", "_customs")
        return not len(self.waiters) and not any(getattr(self.waiters, name) for name in tables)


@pytest.fixture
def requester() -> Requester:
    return Requester()


# --- the id and where it travels -------------------------------------------------------------------------------------


def test_the_id_is_explicit_or_the_key_or_random(requester: Requester) -> None:
    """SDM-23: in that order; two random ones differ."""
    assert requester.ask(given_id="mine", key="k")[0].id == "mine"
    assert requester.ask(key="k")[0].id == "k"
    assert requester.ask(key=b"bytes")[0].id == "bytes"
    assert requester.ask(key=5)[0].id == "5"
    first, second = requester.ask()[0], requester.ask()[0]
    assert first.id != second.id
    assert len(first.id) == 16  # 96 bits


@pytest.mark.parametrize(
    ("way", "key", "sent_key", "header"),
    [
        ("both", None, "ID", True),
        ("key", None, "ID", False),
        ("header", None, None, True),
        ("both", "k", "k", True),
        ("key", "k", "k", False),
        ("header", "k", "k", True),
    ],
)
def test_where_the_id_travels(requester: Requester, way: str, key: Any, sent_key: Any, header: bool) -> None:
    """SDM-24: in the key, in the header or in both."""
    waiter, record_key, headers = requester.ask(key=key, way=way)
    assert record_key == (waiter.id if sent_key == "ID" else sent_key)
    assert ("request_id", waiter.id.encode()) in headers or not header
    assert (waiter.header == "request_id") is header


def test_a_key_that_cannot_carry_the_id_does_not_keep_it_back(requester: Requester) -> None:
    """SDM-24, SDM-26: "key" with a req_key of another meaning sends the header too."""
    _, key, headers = requester.ask(key="k", given_id="mine", way="key")
    assert key == "k"
    assert ("request_id", b"mine") in headers


@pytest.mark.parametrize("way", ["", "none", "Both", None, 5])
def test_any_other_way_is_a_value_error(requester: Requester, way: Any) -> None:
    """SDM-24: and nothing waits."""
    with pytest.raises(ValueError, match='"key", "header" or "both"'):
        requester.ask(way=way)
    assert requester.empty()


@pytest.mark.parametrize("name", ["", None, "x-reply-topic", "X-Error-Code"])
def test_a_header_that_is_taken_cannot_carry_the_id(requester: Requester, name: Any) -> None:
    with pytest.raises(ValueError, match="correlation_header_key"):
        requester.ask(name=name)
    assert requester.empty()


@pytest.mark.parametrize("wrong", ["", b"bytes", 5])
def test_an_explicit_id_is_a_text(requester: Requester, wrong: Any) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        requester.ask(given_id=wrong)


def test_an_explicit_id_that_waits_is_a_value_error(requester: Requester) -> None:
    """SDM-23: of two that wait, no reply could tell."""
    waiter, _, _ = requester.ask(given_id="mine")
    with pytest.raises(ValueError, match="waiting already"):
        requester.ask(given_id="mine")
    requester.end(waiter)
    assert requester.ask(given_id="mine")[0].id == "mine"


def test_two_requests_of_one_key_have_two_ids(requester: Requester) -> None:
    """SDM-25: while the first waits, and for ten minutes after it."""
    first, *_ = requester.ask(key="k")
    second, key, headers = requester.ask(key="k", way="key")
    assert (first.id, key) == ("k", "k")
    assert second.id.startswith("k:")
    assert ("request_id", second.id.encode()) in headers, "the key cannot carry it"
    requester.end(first)
    requester.end(second)
    requester.clock.now += 599
    third, *_ = requester.ask(key="k")
    assert third.id.startswith("k:")
    assert third.id != second.id
    requester.end(third)
    requester.clock.now += 601
    assert requester.ask(key="k")[0].id == "k"


def test_a_bounded_number_of_keys_is_remembered(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys a program uses, the oldest make room."""
    monkeypatch.setattr(correlation, "_REMEMBERED", 10)
    for number in range(1000):
        requester.end(requester.ask(key=f"k{number}")[0])
    assert len(requester.waiters._used) == 10
    assert requester.ask(key="k999")[0].id != "k999"
    assert requester.ask(key="k5")[0].id == "k5"


def test_the_programs_headers_travel_as_they_are(requester: Requester) -> None:
    """In order, with duplicates; but none takes the place of the id, of the token, or repeats a reply topic."""
    mine = [("a", b"1"), ("b", "ü"), ("a", None), ("Request_ID", b"not this"), ("X-Superclient-Request", b"nor this")]
    waiter, _, headers = requester.ask(
        key="k", headers=[*mine, ("x-reply-topic", b"replies"), ("correlation_id", b"c")]
    )
    assert headers[:3] == [("a", b"1"), ("b", "ü".encode()), ("a", None)]
    assert headers[3] == ("correlation_id", b"c")
    assert [value for name, value in headers if name.lower() == "request_id"] == [b"k"]
    assert [value for name, value in headers if name == "x-reply-topic"] == [b"replies"]
    assert [value for name, value in headers if name.lower() == "x-superclient-request"] == [waiter.token.encode()]  # type: ignore[union-attr]


def test_headers_may_be_a_mapping() -> None:
    assert pairs({"a": b"1", "b": "2"}) == [("a", b"1"), ("b", b"2")]
    assert pairs(None) == []


@pytest.mark.parametrize("headers", [["ab"], [("a",)], [("a", 5)], [(5, b"a")], {"a": 1.5}])
def test_headers_of_another_kind_are_a_value_error(headers: Any) -> None:
    with pytest.raises(ValueError, match="a header is a pair"):
        pairs(headers)


# --- whose a reply is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["request_id", "correlation_id", "x-correlation-id", "REQUEST_ID", "X-Correlation-Id"])
def test_the_usual_headers_are_recognised(requester: Requester, name: str) -> None:
    """SDM-22: in any case, whichever of them the request used."""
    waiter, *_ = requester.ask()
    assert requester.waiters.find([("other", b"x"), (name, waiter.id.encode())], b"some key") is waiter


@pytest.mark.parametrize("name", ["my-id", "MY-ID"])
def test_a_custom_header_is_recognised(requester: Requester, name: str) -> None:
    """SDM-27: in any case, while a request that uses it waits."""
    waiter, _, headers = requester.ask(name="My-Id")
    assert ("My-Id", waiter.id.encode()) in headers
    assert requester.waiters.find([(name, waiter.id.encode())], None) is waiter
    requester.end(waiter)
    assert requester.waiters.find([(name, waiter.id.encode())], None) is Unmatched.ABSENT


def test_a_custom_header_of_one_request_is_not_that_of_another(requester: Requester) -> None:
    """A header that means something else for the other requests."""
    requester.ask(name="tenant")
    waiter, *_ = requester.ask(given_id="acme")
    assert requester.waiters.find([("tenant", b"acme")], None) is Unmatched.FOREIGN
    assert requester.waiters.find([("tenant", b"acme"), ("request_id", b"acme")], None) is waiter


def test_without_a_header_the_key_tells(requester: Requester) -> None:
    """SDM-22: also as a text, which a deserializer makes of it."""
    for way in ("key", "both", "header"):
        waiter, *_ = requester.ask(way=way)
        assert requester.waiters.find([("other", b"x")], waiter.id.encode()) is waiter
        assert requester.waiters.find((), waiter.id) is waiter


def test_a_foreign_header_does_not_fall_to_the_key(requester: Requester) -> None:
    """SDM-22, SDM-28: another requester's reply, whose key is by chance an id of ours."""
    waiter, *_ = requester.ask(key="k")
    assert requester.waiters.find([("request_id", b"theirs")], b"k") is Unmatched.FOREIGN
    alone, *_ = requester.ask(way="key")
    assert requester.waiters.find([("x-correlation-id", b"a trace")], alone.id.encode()) is alone
    assert requester.waiters.find([("request_id", b"")], b"k") is waiter, "an empty header is none"
    assert requester.waiters.find([("request_id", None)], b"k") is waiter


def test_other_headers_do_not_hide_the_one_that_matches(requester: Requester) -> None:
    """SDM-26: the first that waits wins, whatever else is there."""
    waiter, *_ = requester.ask(given_id="mine", key="k")
    assert requester.waiters.find([("request_id", b"theirs"), ("correlation_id", b"mine")], b"k") is waiter
    assert requester.waiters.find([("request_id", b"theirs"), ("request_id", b"mine")], b"k") is waiter
    assert requester.waiters.find([("correlation_id", b"mine")], b"k") is waiter
    assert requester.waiters.find((), b"mine") is waiter, "a server that makes a key of the header"
    assert requester.waiters.find((), b"k") is Unmatched.FOREIGN, "the key is no id where there is an explicit one"


def test_a_token_decides_alone(requester: Requester) -> None:
    """SDM-28: of two requesters that use one key, each gets its own reply."""
    other = Requester()
    mine, _, sent = requester.ask(key="k")
    theirs, _, sent_by_them = other.ask(key="k")
    assert mine.id == theirs.id == "k"
    assert requester.waiters.find(sent, b"k") is mine
    assert requester.waiters.find(sent_by_them, b"k") is Unmatched.FOREIGN
    assert other.waiters.find(sent_by_them, b"k") is theirs


def test_late_and_repeated_replies_are_nobodys(requester: Requester) -> None:
    """SDM-20, SDM-31: after the first reply, the time-out or the cancellation nothing is left to match."""
    waiter, key, headers = requester.ask(key="k")
    requester.end(waiter, replied=False)
    again, *_ = requester.ask(key="k")
    assert requester.waiters.find(headers, key) is Unmatched.FOREIGN
    assert requester.waiters.find([("request_id", b"k")], key) is Unmatched.FOREIGN
    requester.end(again)
    requester.end(again)
    assert requester.empty()


def test_a_key_alone_is_enough_where_one_request_can_be_meant(requester: Requester) -> None:
    """SDM-25: a server that copies nothing but the key, and the same key again and again."""
    for _ in range(3):
        waiter, key, _ = requester.ask(key="k")
        assert requester.waiters.find((), key) is waiter
        requester.end(waiter)


def test_a_key_alone_never_gives_a_request_anothers_reply(requester: Requester) -> None:
    """SDM-25: two that wait, or one after another that was given up: it might be the other's."""
    first, *_ = requester.ask(key="k")
    second, *_ = requester.ask(key="k")
    assert requester.waiters.find((), b"k") is Unmatched.AMBIGUOUS
    requester.end(first, replied=False)
    assert requester.waiters.find((), b"k") is Unmatched.AMBIGUOUS
    assert requester.waiters.find([("request_id", second.id.encode())], b"k") is second


def test_nothing_to_go_by(requester: Requester) -> None:
    """Records that are no replies at all."""
    requester.ask()
    assert requester.waiters.find((), None) is Unmatched.ABSENT
    assert requester.waiters.find((), b"") is Unmatched.ABSENT
    assert requester.waiters.find([("request_id", b"x")], None) is Unmatched.FOREIGN
    assert requester.waiters.find((), b"x") is Unmatched.FOREIGN


class Shy:
    def __str__(self) -> str:
        raise RuntimeError("no")


@given(
    st.lists(st.tuples(st.text(), st.none() | st.binary())),
    st.none() | st.binary() | st.text() | st.integers() | st.dictionaries(st.text(), st.integers()) | st.just(Shy()),
)
def test_no_reply_is_too_strange(headers: Any, key: Any) -> None:
    """Whatever a record holds, it is nobody's, and nothing raises."""
    requester = Requester()
    requester.ask()
    requester.ask(key=uuid4().hex, name="custom")
    assert isinstance(requester.waiters.find(headers, key), Unmatched)
    assert isinstance(Address.of(headers, key), Address)
    error_of(headers)


@given(st.binary(min_size=1))
def test_every_key_is_its_own_id(key: bytes) -> None:
    """Also one that is not UTF-8: the server answers with the same bytes."""
    requester = Requester()
    waiter, sent, headers = requester.ask(key=key)
    assert sent == key
    assert requester.waiters.find((), key) is waiter
    assert requester.waiters.find(headers, None) is waiter


@given(st.lists(st.sampled_from(["ask", "key", "custom", "end", "late"]), max_size=30))
def test_the_tables_are_empty_when_nobody_waits(steps: list[str]) -> None:
    """SDM-20, SDM-34: whatever comes, each request is found by its own headers, and leaves nothing."""
    requester = Requester()
    waiting: list[tuple[Waiter, Any, Any]] = []
    for step in steps:
        if step in ("end", "late"):
            if waiting:
                requester.end(waiting.pop()[0], step == "end")
        else:
            arguments: dict[str, Any] = {"ask": {}, "key": {"key": "k"}, "custom": {"name": "custom"}}[step]
            waiting.append(requester.ask(**arguments))
    for waiter, key, headers in waiting:
        assert requester.waiters.find(headers, key) is waiter
    for waiter, *_ in waiting:
        requester.end(waiter)
    assert requester.empty()


# --- where a request wants its replies -------------------------------------------------------------------------------


def test_each_reply_topic_is_answered_once() -> None:
    """SDM-19, SDM-30: in the order in which they are named."""
    headers = [("x-reply-topic", b"b"), ("X-Reply-Topic", b"a"), ("x-reply-topic", b"b"), ("request_id", b"1")]
    address = Address.of(headers, b"k")
    assert address.topics == ["b", "a"]
    assert address.refused == []
    assert address.headers == [("request_id", b"1")]


def test_the_correlation_is_copied_as_it_came() -> None:
    """SDM-30: every header of it, in any case, with the token and the names of one's own; nothing else."""
    copied = [("Request_Id", b"1"), ("x-superclient-request", b"t"), ("correlation_id", None), ("My-Id", b"\xff")]
    address = Address.of([*copied, ("other", b"x")], None, {"my-id"})
    assert address.headers == copied
    assert address.id == "1"
    assert Address.of((), "key").id == "key"
    assert Address.of((), None).id == ""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no topic's name"),
        (None, "no topic's name"),
        (b"\xff\xfe", "no topic's name"),
        (b"two words", "no topic's name"),
        (b"..", "no topic's name"),
        (b"x" * 250, "no topic's name"),
        (b"requests", "a topic of requests"),
        (b"secret", "not among reply_topics"),
    ],
)
def test_a_topic_that_is_not_answered_to(value: bytes | None, reason: str) -> None:
    """SDM-30: it is told, with the reason."""
    address = Address.of(
        [("x-reply-topic", value), ("x-reply-topic", b"replies")],
        None,
        (),
        frozenset({"replies"}),
        frozenset({"requests"}),
    )
    assert address.topics == ["replies"]
    assert len(address.refused) == 1
    assert reason in address.refused[0]
    assert len(address.refused[0]) < 150


# --- errors ----------------------------------------------------------------------------------------------------------


def test_an_error_is_told_by_its_headers() -> None:
    """SDM-30: code and message, in any case, whatever is in them; bounded."""
    assert error_of(error_headers("NOT_FOUND", "no such örder")) == ("NOT_FOUND", "no such örder")
    assert error_of([("X-Error-Code", b"X")]) == ("X", "the server answered with an error")
    assert error_of([("x-error-message", b"only")]) is None
    assert error_of(error_headers("", "\ud800")) == ("ERROR", "\\ud800")
    assert len(error_headers("E", "x" * 5000)[1][1] or b"") == 1000


def test_text_of_anything() -> None:
    assert text(b"\xff") == "\\xff"
    assert text(bytearray(b"a")) == text(memoryview(b"a")) == "a"
    assert text(Shy()) == ""
