"""Frames of ours that the warnings module does not count.

A library that warns with `stacklevel=3` means its caller's caller. A wrapper's frame between them would put the
warning on another line, and show or hide it by another filter. CPython leaves import machinery out of that count,
recognised by its file name (`warnings._is_internal_frame`, the same in C since 3.3); a wrapper that carries such a
name is left out too.
"""

from collections.abc import Callable
from types import FunctionType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def unseen(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, whose frame does not count for `warnings.warn(stacklevel=…)`."""
    assert isinstance(function, FunctionType)
    name = f"<superclient {function.__qualname__}, like importlib._bootstrap>"
    function.__code__ = function.__code__.replace(co_filename=name)
    return function
