"""The marks of superclient's own clients, by which the agent leaves them alone.

A client of ours carries a client-id prefix, which survives in broker logs, and is built inside `internal()`, a flag
of the current thread, which survives a library that rewrites client ids.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

CLIENT_ID_PREFIX = "superstreamlib-"


class _State(threading.local):
    depth = 0


_state = _State()


@contextmanager
def internal() -> Iterator[None]:
    """Mark everything the current thread constructs within the block as superclient's own."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


def is_internal(client_id: object = None) -> bool:
    """Whether a client with this id, constructed now on this thread, is superclient's own."""
    return _state.depth > 0 or (isinstance(client_id, str) and client_id.startswith(CLIENT_ID_PREFIX))
