"""Free ports that two sessions side by side never share."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below the range from which the kernel takes ports for outgoing connections: a server that is down for a while,
# because a test stopped it, must find its port free when it comes back.
_RANGE = range(20000, 32000)

_held: dict[int, IO[str]] = {}


def free_port() -> int:
    """A loopback port that nobody listens on, reserved for this process until it ends or calls `release_port`."""
    folder = Path(tempfile.gettempdir()) / f"superclient-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, 500):
        reservation = (folder / str(port)).open("w")
        try:
            fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            reservation.close()
            continue
        if _unused(port):
            _held[port] = reservation
            return port
        reservation.close()
    raise RuntimeError("no free port found")


def release_port(port: int) -> None:
    """Gives a reserved port back."""
    reservation = _held.pop(port, None)
    if reservation is not None:
        reservation.close()


def _unused(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
