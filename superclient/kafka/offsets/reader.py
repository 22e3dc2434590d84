"""One reader for all libraries: keeps a session open between readings, and gives up one that hangs."""

import os
import threading
from collections.abc import Callable
from typing import Protocol

from superclient.errors import ClusterError, Unreachable
from superclient.kafka._bounded import Deadline, bounded
from superclient.kafka.connection import Offsets
from superclient.kafka.internal import CLIENT_ID_PREFIX, internal
from superclient.kafka.offsets.exchange import Groups, Health

_CLOSING = 0.4  # seconds that `close` waits for the connections to be closed
_MOST_STUCK = 2  # readings that may hang at the same time, each with a thread and connections of its own


class Session(Protocol):
    """Open connections; used and closed by one thread at a time, each time any."""

    @property
    def health(self) -> Health:
        """What it is good for after its last reading."""
        ...

    def read(self, groups: Groups, deadline: Deadline) -> Offsets:
        """See OffsetsReader.read; where it raises, it is not used again."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class Reader:
    """An OffsetsReader over sessions that `connect` makes.

    A reading runs on a thread of its own and takes the session with it: if it hangs in name resolution or in a token
    provider, nobody else comes to use what it holds, and the next reading connects anew. A session that worked before
    and now fails has lost its connections, or the leaders have moved: that is tried once more within the same reading.

    What is open stays so until `close`, whatever the garbage collector, or a fork, does to this object.
    """

    def __init__(self, connect: Callable[[Deadline], Session]) -> None:
        self._connect = connect
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: Session | None = None
        self._reading = 0

    def read(self, groups: Groups, timeout: float) -> Offsets:
        """See OffsetsReader.read."""
        if self._pid != os.getpid():
            self.abandon()
        with self._lock:
            if self._closed:
                raise ClusterError("this reader is closed")
            if self._reading > _MOST_STUCK:
                raise Unreachable("earlier readings still wait for an answer")
            self._reading += 1
        return bounded(timeout, lambda deadline: self._work(groups, deadline))

    def close(self) -> None:
        """See OffsetsReader.close. Where the interpreter is ending, the system closes what is open."""
        if self._pid != os.getpid():
            self.abandon()
        with self._lock:
            self._closed = True
        session = self._take()
        if session is None:
            return
        closed = threading.Event()

        def close() -> None:
            with internal():
                _close(session)
            closed.set()

        try:
            threading.Thread(target=close, name=CLIENT_ID_PREFIX + "closer", daemon=True).start()
        except RuntimeError:  # no thread is started any more, and without one a close could hang
            return
        closed.wait(_CLOSING)

    def abandon(self) -> None:
        """See OffsetsReader.abandon: the parent's session is immortal here as it is there."""
        self._begin()

    def _work(self, groups: Groups, deadline: Deadline) -> Offsets:
        try:
            session = self._take()
            if session is not None:
                try:
                    offsets = session.read(groups, deadline)
                except Exception:
                    _close(session)
                    if not _time_for_more(deadline):
                        raise
                    session = None
                else:
                    if session.health is Health.SOUND or not _time_for_more(deadline):
                        self._put(session)
                        return offsets
                    if session.health is Health.BROKEN:
                        _close(session)
                        session = None
            return self._first(session or _kept(self._connect(deadline)), groups, deadline)
        finally:
            with self._lock:
                self._reading -= 1

    def _first(self, session: Session, groups: Groups, deadline: Deadline) -> Offsets:
        """A reading that nothing comes after: what can be read is the answer."""
        try:
            offsets = session.read(groups, deadline)
        except BaseException:
            _close(session)
            raise
        self._put(session)
        return offsets

    def _take(self) -> Session | None:
        with self._lock:
            session, self._idle = self._idle, None
        return session

    def _put(self, session: Session) -> None:
        with self._lock:
            if not (self._closed or self._idle or session.health is Health.BROKEN):
                self._idle = session
                return
        _close(session)


def _time_for_more(deadline: Deadline) -> bool:
    try:
        return deadline.left() > deadline.timeout / 2
    except Unreachable:
        return False


def _kept(session: Session) -> Session:
    """The same, immortal: collected in a forked child, or while the interpreter ends, it would wait for threads of
    librdkafka's that are not there, or take the parent's descriptors out of an epoll set that both share."""
    _count_reference("Py_IncRef", session)
    return session


def _close(session: Session) -> None:
    try:
        session.close()
    except Exception:  # noqa: S110 - what did not close is nobody's to use any more
        pass
    _count_reference("Py_DecRef", session)


def _count_reference(how: str, session: Session) -> None:
    try:
        import ctypes
    except ImportError:  # an interpreter built without it: nothing is immortal there
        return
    ctypes.pythonapi[how](ctypes.py_object(session))
