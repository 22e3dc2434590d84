"""A producer that is dropped while the linger that the agent added holds its records back: kept until that has passed.

Without the agent those records would have been on their way. Nothing here takes a lock: the collector may drop a
producer in the middle of anything.
"""

import os
import sys
import time
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters.confluent.conf import LIBRARY
from superclient.agent.guard import guarded

MOST = 16  # each has threads and connections

_kept: list[tuple[Any, float, int]] = []


def keep(producer: Any, seconds: float) -> bool:
    """Bring a producer that is being finalised back to life for so long; the heartbeat lets it go."""
    if len(_kept) >= MOST or sys.is_finalizing():
        return False
    _kept.append((producer, time.monotonic() + seconds, os.getpid()))
    with guarded(LIBRARY, "waking the heartbeat"):
        pipeline.agent().heartbeat.wake()
    return True


def until(producer: Any) -> float | None:
    """When this producer's time is up; None for one that is not kept."""
    return next((end for kept, end, _ in list(_kept) if kept is producer), None)


def let_go() -> None:
    """Drop those whose time is up. A child of this process leaves its parent's alone: their threads are not here."""
    now, pid = time.monotonic(), os.getpid()
    for entry in list(_kept):
        if entry[1] <= now and entry[2] == pid:
            _kept.remove(entry)
