"""`--transform`: what an expression answers, what is refused before anything is consumed, and what it may not do."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superclient.cli._expression import ExpressionError, compiled

DROP = object()


def record(value: bytes | None = b"", key: bytes | None = None, headers: Any = ()) -> Any:
    return SimpleNamespace(value=value, key=key, headers=list(headers))


def answer(expression: str, *arguments: Any, **more: Any) -> object:
    return compiled(expression, DROP)(record(*arguments, **more))


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("value.upper()", '{"N": 2, "TAGS": ["A", "B"]}'),
        ('data["n"] + 1', "3"),
        ("data.n * 2", "4"),
        ('{"n": data["n"], "key": key, "by": headers["who"]}', '{"n": 2, "key": "k", "by": "ä"}'),
        ('f"{key}:{data.n:03d}"', "k:002"),
        ("None", None),
        ('value if data["n"] > 5 else drop', DROP),
        ('[one.upper() for one in data["tags"] if one != "b"]', '["A"]'),
        ('json(data["tags"])', '["a", "b"]'),
        ('join(sorted(data["tags"]), "-")', "a-b"),
        ('value.replace("n", "m")', '{"m": 2, "tags": ["a", "b"]}'),
        ('data.get("none")', None),
        ("len(value) > 3 and key == 'k'", "true"),
        ('{**data, "n": 7}', '{"n": 7, "tags": ["a", "b"]}'),
    ],
)
def test_what_an_expression_answers(expression: str, wanted: object) -> None:
    """Text stays as it is, None is a tombstone, `drop` drops, anything else becomes JSON."""
    headers = [("who", "ä".encode())]
    assert answer(expression, b'{"n": 2, "tags": ["a", "b"]}', b"k", headers=headers) == wanted


def test_what_a_record_has_not() -> None:
    """A tombstone's value is None, so is data that is no JSON; bytes that are no text matter only where asked for."""
    assert answer("'none' if value is None else value", None) == "none"
    assert answer("'none' if data is None else data", b"no json") == "none"
    assert answer("key", b"\xff", b"k") == "k"
    with pytest.raises(ValueError, match="value is no text"):
        answer("value", b"\xff")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "empty"),
        ("1 +", "syntax"),
        ("valu.upper()", "there is no 'valu'"),
        ("open('x')", "there is no function 'open'"),
        ("__import__('os')", "there is no function '__import__'"),
        ("value.__class__", "attribute '__class__' is not allowed"),
        ("lambda: 1", "Lambda is not allowed"),
        ("x = 1", "no statement"),
        ("value; key", "no statement"),
        ("f'{1:100000}'", "width"),
        ("value @ key", "MatMult is not allowed"),
        ("(" * 400 + ")" * 400, "syntax"),
        ("1" * 20_000, "longer than"),
    ],
)
def test_what_is_refused_before_anything_is_consumed(expression: str, said: str) -> None:
    """Syntax, names, functions and attributes that are not known; one clear sentence."""
    with pytest.raises(ExpressionError, match=said):
        compiled(expression, DROP)


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "value * 100000000",
        "'%1000000000d' % 1",
        "value.ljust(1000000000)",
        "value.format(1)",
        "value.replace('', value * 9000)",
        "[a for a in value for b in value for c in value]",
        "data.append(1)",
        "str.mro()",
    ],
)
def test_what_it_may_not_do(expression: str) -> None:
    """Nothing that grows without limit, no method but those that are known."""
    with pytest.raises(Exception):  # noqa: B017, PT011  # whichever: the record is at fault, and named
        answer(expression, b"x" * 1000)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused(expression: str) -> None:
    """Whatever is written, the answer is an expression or an ExpressionError."""
    with contextlib.suppress(ExpressionError):
        assert callable(compiled(expression, DROP))


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_json_goes_through(document: Any) -> None:
    """`[data]` is the document again, whatever it is."""
    found = answer("[data]", json.dumps(document).encode())
    assert json.loads(str(found)) == [document]
