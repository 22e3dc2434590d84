"""What has threads, locks or sockets begins anew in a forked child, before anything else runs there."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that a child cannot use as its parent left it."""

    def anew(self) -> None:
        """In the child: forget the parent's connections and threads, and whatever lock one of those held."""
        ...


_ALIVE: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def renew_in_children(thing: Forkable) -> None:
    """Have it begin anew in each child, as long as somebody else holds it."""
    _ALIVE.add(thing)


def _in_child() -> None:
    for thing in list(_ALIVE):
        thing.anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
