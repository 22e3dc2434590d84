"""Keeps the libraries' log lines about superclient's own clients out of the program's logs.

kafka-python and aiokafka log through loggers that the program shares with us. Everything of ours runs on threads whose
names carry our client-id prefix (our worker, and the I/O and sender threads, which the libraries name after the client
id): by that, and by nothing in the text, our records are told from the program's, which pass untouched.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from superclient.kafka.internal import CLIENT_ID_PREFIX


class _Heard(threading.local):
    errors: list[BaseException] | None = None


_heard = _Heard()


class _NotOurs(logging.Filter):
    """Passes whatever was not logged on a thread of superclient's own."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Not record.threadName: it is absent where the program turned logging.logThreads off.
        if CLIENT_ID_PREFIX not in threading.current_thread().name:
            return True
        if _heard.errors is not None and isinstance(record.args, tuple):
            _heard.errors += [each for each in record.args if isinstance(each, BaseException)]
        return False


_FILTER = _NotOurs()


def quiet(package: str) -> None:
    """Filter every logger that exists under a library's package; cheap and idempotent, to be called before each use.

    A filter on the package's own logger would not do: logging asks the filters of the logger that was called, and only
    the handlers of its parents.
    """
    prefix = package + "."
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and (name == package or name.startswith(prefix)):
            logger.addFilter(_FILTER)  # does nothing where it is there already


@contextmanager
def overhearing() -> Iterator[list[BaseException]]:
    """The exceptions that a library logs on this thread instead of raising them."""
    errors: list[BaseException] = []
    _heard.errors = errors
    try:
        yield errors
    finally:
        _heard.errors = None
