"""`superclient consume stream`: its loop, and its end on a signal: what is in hand is written, within a grace period.

A write may wait for a reader that does not read. Then the end of the grace period interrupts it, and what is not
written is not committed.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from superclient.cli._reading import BATCH, Reading
from superclient.cli._session import Session, Stop
from superclient.cli._writing import BatchWriter
from superclient.toolkit import metrics

_AT_LEAST = 0.5  # seconds for a write in progress, also without a grace period: half a line is no output


def run(
    session: Session,
    reading: Reading,
    write: BatchWriter,
    limit: int | None,
    grace: float,
    wait: float,
    exit_at_end: bool,
) -> None:
    """Write records until a signal, the limit, or the end where that was asked for.

    Raises:
        KafkaConsumerError: or the class that fits, where waiting for the brokers would not help.
    """
    count = 0
    with Patience(grace) as patience, session.stopping(patience.shorten) as stop:
        heard = _Heard(session, stop)
        while not stop.requested and (limit is None or count < limit):
            messages = reading.fetch(BATCH if limit is None else min(BATCH, limit - count), wait)
            reading.tell_of_outage(idle=not messages)
            if heard.stop() and time.monotonic() >= (stop.at or 0) + grace:
                break  # without a grace period what was only fetched is for the next one
            if messages:
                if not put(session, patience, write, messages, reading):
                    break
                count += len(messages)
            elif exit_at_end and reading.at_end(lambda: stop.requested):
                break
        stopped, committed = heard.stop(), False
        try:
            reading.commit()
            committed = True
        finally:
            if stopped:
                metrics.inc("consumer.shutdown.complete")
                session.output.event("stream_ended", records=count, committed=committed)


class _Heard:
    """Says once that a stop was asked for; not from the signal's handler, which may come in the middle of a line."""

    def __init__(self, session: Session, stop: Stop) -> None:
        self._session, self._stop, self._said = session, stop, False

    def stop(self) -> bool:
        """Whether it was."""
        if self._stop.requested and not self._said:
            self._said = True
            metrics.inc("consumer.shutdown.signal")
            self._session.output.event("shutdown_requested")
        return self._said


def put(session: Session, patience: Patience, write: BatchWriter, messages: list[Any], reading: Reading) -> bool:
    """Write records, to be committed then; False where that took too long: the output is given up, and so are they."""
    try:
        with patience.writing():
            write(messages)
    except OutOfPatience:
        session.output.abandon()
        return False
    reading.written(messages)
    return True


class OutOfPatience(Exception):
    """The grace period ended in the middle of a write."""


class Patience:
    """Interrupts a write that takes longer than the grace period after a signal; not on Windows, which cannot."""

    def __init__(self, grace: float) -> None:
        self._grace, self._asked, self._is_writing = grace, None, False  # type: float, float | None, bool
        self._before: Any = None

    def __enter__(self) -> Patience:
        """Take SIGALRM."""
        if _can_interrupt():
            self._before = signal.signal(signal.SIGALRM, self._over)
        return self

    def __exit__(self, *exception: Any) -> None:
        """Give it back."""
        if self._before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)

    def shorten(self) -> None:
        """A signal came; called by its handler."""
        self._asked = time.monotonic()
        self._limit()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """What may be interrupted.

        Raises:
            OutOfPatience: it was.
        """
        self._is_writing = True
        try:
            self._limit()
            yield
        finally:
            self._is_writing = False

    def _limit(self) -> None:
        if self._is_writing and self._asked is not None and self._before is not None:
            left = self._asked + max(self._grace, _AT_LEAST) - time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))

    def _over(self, number: int, frame: object) -> None:
        if self._is_writing:
            raise OutOfPatience


def _can_interrupt() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
