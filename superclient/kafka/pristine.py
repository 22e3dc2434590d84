"""The libraries' clients as they were before anybody changed them, for superclient's own to be made of (AGT-22).

A tracer, or the program itself, may put something on `KafkaProducer.send`; what we send is the business of neither.
The agent's adapters have a look kept when they patch a library, which is before anybody else can; where none was kept
(our own commands) a client of ours is made of the class as it is.
"""

from functools import cache
from typing import Any

# What belongs to a class and not to its subclasses. A constructor that somebody wrapped must go on to be called: ours
# keeps the library's count of made-up client ids.
_ITS_OWN = ("__dict__", "__weakref__", "__doc__", "__module__", "__init__")
_WRAPPERS = ("_self_wrapper", "_nr_wrapper")  # where wrapt's function wrappers, and New Relic's copy, keep theirs
_kept: dict[Any, dict[str, Any]] = {}


def keep(kind: Any) -> None:
    """Remember how this class is now; the first look counts."""
    if kind is not None:
        _kept.setdefault(kind, {name: _bare(value) for name, value in vars(kind).items() if name not in _ITS_OWN})


def _bare(value: Any) -> Any:
    """What a tracer that came first has wrapped: they use wrapt, or a copy of it, which the libraries do not."""
    while any(hasattr(value, mark) for mark in _WRAPPERS):
        value = value.__wrapped__
    return value


@cache
def pristine(kind: Any) -> Any:
    """A subclass with the methods that the class had when it was kept; the class itself where it never was."""
    return type(kind.__name__, (kind,), dict(_kept[kind])) if kind in _kept else kind
