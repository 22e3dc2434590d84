"""The classes in the place of `cimpl.Producer`: its subclasses, alike to the eye, whose `produce` is the C one.

`plain` is what the program's own producers are made of. `unused` and `watched` are what a producer is for a while: its
class is changed and changed back. A function in its instance dict would need a reference to it, and a dropped producer
would live on until the garbage collector finds the cycle. `follow` is for producers that may change in use, see `live`.
"""

from collections.abc import Callable
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters.confluent import dropped, steering
from superclient.agent.adapters.confluent.handles import ATTRIBUTE, Family, Handles
from superclient.agent.adapters.confluent.live import Live
from superclient.agent.adapters.frames import unseen

_HARMLESS = ("poll", "flush", "purge", "list_topics", "cluster_id")  # leave an unused producer unused

MARK = "_superclient_family"

Construct = Callable[..., None]


def handles_of(producer: Any) -> Handles | Live | None:
    """The handles of a producer that the agent set up."""
    found: Handles | Live | None = getattr(producer, ATTRIBUTE, None)
    return found


def live_of(producer: Any) -> Live | None:
    """What stands behind a producer that may change in use; asks no `__getattr__` of a class that is not ready yet."""
    try:
        found = object.__getattribute__(producer, ATTRIBUTE)
    except AttributeError:
        return None
    return found if isinstance(found, Live) else None


def ours(kind: Any) -> bool:
    """Whether a class is one that `make` made."""
    return MARK in vars(kind)


def make(family: Family, construct: Construct, late: bool) -> Any:
    """Make the family's classes; answers what to put in the place of the library's own."""
    names = _names(family, construct)
    if late:
        # A class that exists can only be given bases of the same layout, without room for a dict and weak references.
        # What is made of that base itself is therefore made of a subclass which has it.
        public = type("Producer", (family.bare,), {**names, "__slots__": (), "__new__": _new(family)})
        family.plain = type("Producer", (public,), {**_likeness(family.bare), "__slots__": _slots(family.bare)})
    else:
        public = family.plain = type("Producer", (family.bare,), {**names, "__slots__": _slots(family.bare)})
    family.public = public
    family.unused = _variant(family, {name: _unused(family, name) for name in family.methods})
    produce = _like(family.bare, "produce", steering.method(family.bare.produce))
    family.steered, family.base = _variant(family, {"produce": produce}), _base(family, produce)
    family.watched = _variant(family, {name: _watched(family, name) for name in family.methods if "produce" in name})
    return public


def _slots(bare: Any) -> tuple[str, ...]:
    """Our own place, and what a base that is somebody's subclass already may have room for.

    It is a slot: as long as an instance's dict was not made, CPython calls a method without looking into it.
    """
    room = (("__dict__", bare.__dictoffset__), ("__weakref__", bare.__weakrefoffset__))
    return (ATTRIBUTE, *(name for name, there in room if not there))


def _likeness(bare: Any) -> dict[str, Any]:
    return {"__module__": bare.__module__, "__qualname__": bare.__qualname__, "__doc__": bare.__doc__}


def _variant(family: Family, methods: dict[str, Any]) -> Any:
    return type("Producer", (family.plain,), {**_likeness(family.bare), "__slots__": (), **methods})


def _base(family: Family, produce: Callable[..., Any]) -> Any:
    return type("Producer", (family.public,), {**_likeness(family.bare), "__slots__": (), "produce": produce})


def steer(family: Family, kind: Any) -> None:
    """Let `super().produce(…)` of a program's own subclass come by what steers; for the first one of it that is to be.

    Its bases change, and not `public`: other classes' producers, and those of no subclass, keep the C method.
    """
    if kind in (family.plain, family.unused, family.watched, family.steered):
        return
    for derived in kind.__mro__:
        if family.public in derived.__bases__ and derived is not family.base:
            bases = derived.__bases__
            derived.__bases__ = tuple(family.base if base is family.public else base for base in bases)


def _like(bare: Any, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    method.__name__, method.__qualname__ = name, f"{bare.__qualname__}.{name}"
    method.__module__, method.__doc__ = bare.__module__, getattr(getattr(bare, name, None), "__doc__", None)
    return method


def _names(family: Family, construct: Construct) -> dict[str, Any]:
    bare = family.bare

    def length(self: Any) -> int:
        try:
            found: Handles | Live = self._superclient
        except AttributeError:
            own: int = bare.__len__(self)
            return own
        return found.length(self)

    def reduce_ex(self: Any, protocol: Any) -> Any:
        # The library's message has the name of its C type in it.
        if type(self) in (family.plain, family.unused, family.watched, family.steered):
            raise TypeError(f"cannot pickle '{bare.__module__}.{bare.__qualname__}' object")
        return object.__reduce_ex__(self, protocol)

    def finalize(self: Any) -> None:
        try:
            seconds = pipeline.lingering(self)
            if seconds > 0 and self._superclient.length(self) > 0:
                dropped.keep(self, seconds)
        except Exception:  # noqa: S110 - nobody hears a finalizer, and stderr is the program's
            pass

    methods: dict[str, Callable[..., Any]] = {
        "__init__": construct,
        "__len__": length,
        "__reduce_ex__": reduce_ex,
        "__del__": finalize,
    }
    if hasattr(bare, "close"):
        methods.update(_closing(family))
    return {**_likeness(bare), MARK: family, **{name: _like(bare, name, method) for name, method in methods.items()}}


def _closing(family: Family) -> dict[str, Callable[..., Any]]:
    bare = family.bare

    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        return bare.close(_ending(self), *args, **kwargs)

    def enter(self: Any) -> Any:
        found = handles_of(self)
        bare.__enter__(self if found is None or found.inner is None else found.inner)
        return self

    def leave(self: Any, *args: Any) -> Any:
        return bare.__exit__(_ending(self), *args)

    return {"close": close, "__enter__": enter, "__exit__": leave}


def _ending(producer: Any) -> Any:
    """The handle to close, once the producer's end is noted."""
    pipeline.closing(producer)
    found = handles_of(producer)
    if found is None:
        return producer
    found.spent(producer)
    found.closing()
    return producer if found.inner is None else found.inner


def _new(family: Family) -> Callable[..., Any]:
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return family.bare.__new__(family.plain if cls is family.plain.__base__ else cls, *args, **kwargs)

    return new


def follow(family: Family) -> None:
    """Let the public class's methods go to the handle in use; once, for the first producer that may change in use.

    `super().produce(…)` of a subclass comes here, and `Producer.produce(producer, …)`. What is made of the class itself
    has a `produce` of its own before it.
    """
    if "produce" in vars(family.public):
        return
    for name in family.methods:
        setattr(family.public, name, unseen(_like(family.bare, name, _following(family, name))))


def _following(family: Family, name: str) -> Callable[..., Any]:
    own = getattr(family.bare, name)
    here, ours = name == "produce" or hasattr(Live, name), "cell" if name == "produce" else name

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            found = self._superclient
        except AttributeError:
            return own(self, *args, **kwargs)
        if type(found) is not Live:
            return own(self, *args, **kwargs)
        return getattr(found if here else found.inner, ours)(*args, **kwargs)

    return method


def _unused(family: Family, name: str) -> Callable[..., Any]:
    own = getattr(family.bare, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        found: Handles = getattr(self, ATTRIBUTE)
        with found.lock:
            first = found.inner is None
            if name not in _HARMLESS:
                found.spent(self)
            found.calls += first
        if not first:
            return getattr(found.inner, name)(*args, **kwargs)
        try:
            return own(self, *args, **kwargs)
        finally:
            with found.lock:
                found.calls -= 1

    return _like(family.bare, name, method)


def _watched(family: Family, name: str) -> Callable[..., Any]:
    own = getattr(family.bare, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        found: Handles = getattr(self, ATTRIBUTE)
        with found.lock:
            return own(self if found.inner is None else found.inner, *args, **kwargs)

    return _like(family.bare, name, method)
