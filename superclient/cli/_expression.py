"""`--transform`: a restricted expression that makes a record's new value, evaluated by simpleeval, never by eval.

It knows `value` (text), `data` (the value as JSON, None where it is none), `key` (text), `headers` (name → text) and
`drop`, the functions of `_FUNCTIONS`, the methods of `_METHODS`, and Python's operators, conditions, f-strings and
comprehensions. A text that it answers becomes the value as it is, None a tombstone, `drop` leaves the record out,
anything else is written as JSON. What could grow without limit (powers, repetition, padding) is bounded.
"""

from __future__ import annotations

import ast
import json
import operator
import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superclient.toolkit.results import MessageResult

NAMES = ("value", "data", "key", "headers", "drop")
LONGEST = 10_000_000  # characters of any text on the way; ten times what brokers take by default
_BITS = 10_000  # of a power
_EXPRESSION = 10_000  # characters of the expression itself
_WIDTH = re.compile(r"\d{4,}")
_METHODS = {
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalpha", "isdigit", "isnumeric", "lower"),
    *("lstrip", "removeprefix", "removesuffix", "replace", "rfind", "rsplit", "rstrip", "split", "splitlines"),
    *("startswith", "strip", "swapcase", "title", "upper", "get", "items", "keys", "values"),
}


class ExpressionError(ValueError):
    """An expression that cannot be meant; the message says what is wrong with it."""


def _join(parts: Any, between: str = "") -> str:
    texts = [str(part) for part in parts]
    _check(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "join": _join,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "len": len,
    "list": list,
    "lower": lambda text: str(text).lower(),
    "max": max,
    "min": min,
    "parse": json.loads,
    "round": round,
    "sorted": sorted,
    "str": str,
    "strip": lambda text: str(text).strip(),
    "sum": sum,
    "upper": lambda text: str(text).upper(),
}


def compiled(expression: str, drop: object) -> Callable[[MessageResult], object]:
    """The expression as a transform of a relay; `drop` is what it answers for a record that is left out.

    Raises:
        ExpressionError: its syntax, or something in it that is not known here.
    """
    tree, names = _parsed(expression)
    local = threading.local()  # an evaluator has state, and a relay several threads

    def transform(record: MessageResult) -> object:
        evaluator = getattr(local, "evaluator", None)
        if evaluator is None:
            evaluator = local.evaluator = _evaluator()
        evaluator.names = {**_given(record, names), "True": True, "False": False, "None": None, "drop": drop}
        answer = evaluator.eval(expression, previously_parsed=tree)
        if answer is None or answer is drop or isinstance(answer, (str, bytes)):
            return answer
        return json.dumps(answer, ensure_ascii=False)

    return transform


def _given(record: MessageResult, names: set[str]) -> dict[str, object]:
    """What the expression asks for; what it does not ask for need not be text."""
    found: dict[str, object] = {}
    value = _text("value", record.value) if {"value", "data"} & names else None
    if "value" in names:
        found["value"] = value
    if "data" in names:
        found["data"] = _json(value)
    if "key" in names:
        found["key"] = _text("key", record.key)
    if "headers" in names:
        found["headers"] = {name: _text(f"header {name}", data) for name, data in record.headers}
    return found


def _text(what: str, data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is no text in UTF-8") from None


def _json(value: str | None) -> object:
    try:
        return None if value is None else json.loads(value)
    except (ValueError, RecursionError):
        return None


# --- checking


def _parsed(expression: str) -> tuple[ast.AST, set[str]]:
    if not expression.strip():
        raise ExpressionError("it is empty")
    if len(expression) > _EXPRESSION:
        raise ExpressionError(f"it is longer than {_EXPRESSION} characters")
    evaluator = _evaluator()
    try:
        module = ast.parse(expression.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"syntax: {getattr(error, 'msg', error)}") from None
    if len(module.body) != 1 or not isinstance(module.body[0], ast.Expr):
        raise ExpressionError("it takes one expression, and no statement")
    nodes = list(ast.walk(module.body[0]))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        _check_node(node, evaluator, bound)
    return module.body[0], {node.id for node in nodes if isinstance(node, ast.Name)}


def _check_node(node: ast.AST, evaluator: Any, bound: set[str]) -> None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id not in _FUNCTIONS:
            raise ExpressionError(f"there is no function {node.func.id!r}, only {', '.join(sorted(_FUNCTIONS))}")
    elif isinstance(node, ast.Name) and node.id not in {*NAMES, *_FUNCTIONS, *bound}:
        raise ExpressionError(f"there is no {node.id!r}, only {', '.join(NAMES)}")
    elif isinstance(node, ast.expr) and type(node) not in evaluator.nodes and not isinstance(node, ast.Starred):
        raise ExpressionError(f"{type(node).__name__} is not allowed")
    elif isinstance(node, ast.operator) and type(node) not in evaluator.operators:
        raise ExpressionError(f"operator {type(node).__name__} is not allowed")
    elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        raise ExpressionError(f"attribute {node.attr!r} is not allowed")
    elif isinstance(node, ast.FormattedValue) and node.format_spec is not None:
        parts = getattr(node.format_spec, "values", [node.format_spec])
        if not all(isinstance(part, ast.Constant) and not _WIDTH.search(str(part.value)) for part in parts):
            raise ExpressionError("a width in an f-string is below 1000")


# --- evaluating


def _evaluator() -> Any:
    import simpleeval

    class Evaluator(simpleeval.EvalWithCompoundTypes):  # type: ignore[misc]
        """simpleeval with fewer methods."""

        def _eval_attribute(self, node: ast.Attribute) -> object:
            found = self._eval(node.value)
            if isinstance(found, Mapping) and node.attr in found:
                return found[node.attr]
            if not isinstance(found, (str, list, dict)) or node.attr not in _METHODS:
                raise simpleeval.AttributeDoesNotExist(node.attr, self.expr)
            if node.attr == "replace":
                return partial(_replaced, found)
            return getattr(found, node.attr)

        def _eval_joinedstr(self, node: ast.JoinedStr) -> str:
            return _join(self._eval(part) for part in node.values)

    operators = {
        **simpleeval.DEFAULT_OPERATORS,
        ast.Pow: _power,
        ast.Mod: _remainder,
        ast.Mult: _product,
        ast.Add: _total,
    }
    return Evaluator(operators=operators, functions=dict(_FUNCTIONS))


def _check(length: int) -> None:
    if length > LONGEST:
        raise ValueError(f"a text or list of more than {LONGEST} is not made")


def _replaced(text: Any, old: str, new: str) -> object:
    _check(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _BITS:
        raise ValueError("a power of that size is not computed")
    return operator.pow(base, exponent)


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        raise TypeError("% is for numbers; texts are made with f-strings")
    return operator.mod(left, right)


def _product(left: Any, right: Any) -> Any:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, (str, bytes, list, tuple)) and isinstance(times, int):
            _check(len(one) * times)
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _BITS:
        raise ValueError("a product of that size is not computed")
    return operator.mul(left, right)


def _total(left: Any, right: Any) -> Any:
    if hasattr(left, "__len__") and hasattr(right, "__len__"):
        _check(len(left) + len(right))
    return operator.add(left, right)
