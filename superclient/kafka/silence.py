"""Keeps the libraries' log lines about superclient's own clients out of the program's logs.

kafka-python and aiokafka log through loggers that the program shares with us. Everything of ours runs on threads whose
names carry our client-id prefix (our worker, and the I/O and sender threads, which the libraries name after the client
id): by that, and by nothing in the text, our records are told from the program's, which pass untouched.
"""

import logging
import threading

from superclient.kafka.internal import CLIENT_ID_PREFIX


class _NotOurs(logging.Filter):
    """Passes whatever was not logged on a thread of superclient's own."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Not record.threadName: it is absent where the program turned logging.logThreads off.
        return CLIENT_ID_PREFIX not in threading.current_thread().name


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
