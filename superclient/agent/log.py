"""Log lines of the agent: `[superstream] LEVEL component: message` on stderr, quiet, each warning once per cause.

They go through the `superclient` logger with a handler of its own and no propagation. Once the program configures the
root logger or that one, ours steps back and the program's handlers have them, at the level that the program asks for
(AGT-50). Nothing here can raise: a closed stderr swallows the line.
"""

import logging
import os
import stat
import sys
import threading
from typing import Any

LOGGER = logging.getLogger("superclient")
_INFO = logging.INFO - 1  # shows what INFO shows, and is known as ours where a program might have set INFO itself
_said: set[object] = set()
_lock = threading.RLock()


class _Stderr(logging.Handler):
    """Writes to whatever sys.stderr is now, and never complains: a program may close or replace it."""

    def __init__(self) -> None:
        super().__init__()
        self._first = _file(2)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"[superstream] {record.levelname} {record.getMessage()}\n"
            stream: Any = sys.stderr
            inherited = stream is not None and stream is sys.__stderr__
            if not inherited or stream.fileno() != 2:
                stream.write(line)
                stream.flush()
            elif not self._taken():
                # Past Python's buffer: what it cannot get rid of it tries again at exit, and fails the program.
                os.write(2, line.encode(errors="backslashreplace"))
        except Exception:  # noqa: S110 - a log line that cannot be written is dropped; there is nowhere to say so
            pass

    def _taken(self) -> bool:
        """Whether descriptor 2 was closed and is now a connection, maybe to a broker, that a line would destroy."""
        now = _file(2)
        return now != self._first and (now is None or stat.S_ISSOCK(now[0]))


def _file(descriptor: int) -> tuple[int, int, int] | None:
    """What a descriptor stands for; None for one that is closed."""
    try:
        found = os.fstat(descriptor)
        return found.st_mode, found.st_dev, found.st_ino
    except OSError:
        return None


class _StepBack(logging.Filter):
    """Hands records over to the program's own handlers as soon as there are any."""

    def filter(self, record: logging.LogRecord) -> bool:
        own = [handler for handler in LOGGER.handlers if handler is not _handler]
        return not own and not logging.getLogger().handlers


class _Pass(logging.Filter):
    """On the logger, whose handlers a configuration may have removed: what the root logger is to have of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        root = logging.getLogger()
        # A level of our logger's own would make its lines pass the one that the program gave its log.
        LOGGER.propagate = bool(root.handlers) and (LOGGER.level != _INFO or record.levelno >= root.level)
        return True


_handler = _Stderr()
_handler.addFilter(_StepBack())
_pass = _Pass()


def configure(debug: bool) -> None:
    """Attach our handler once; DEBUG shows every decision, else a level that the program gave our logger stays."""
    if _pass not in LOGGER.filters:
        LOGGER.addHandler(_handler)
        LOGGER.addFilter(_pass)
    if debug or LOGGER.level in (logging.NOTSET, logging.DEBUG):
        LOGGER.setLevel(logging.DEBUG if debug else _INFO)


def debug(component: str, message: str) -> None:
    """A decision, for those who ask to see every one."""
    _emit(logging.DEBUG, component, message)


def info(component: str, message: str) -> None:
    """A thing an operator wants to know, rare."""
    _emit(logging.INFO, component, message)


def warn_once(component: str, cause: object, message: str) -> None:
    """A warning, the first time this cause is met in the process.

    None while the interpreter ends: what fails then fails for that reason, and nobody could act on it.
    """
    if threading.main_thread().is_alive() and _first(component, cause):
        _emit(logging.WARNING, component, message)


def info_once(component: str, cause: object, message: str) -> None:
    """A thing an operator wants to know, the first time in the process."""
    if _first(component, cause):
        _emit(logging.INFO, component, message)


def _first(component: str, cause: object) -> bool:
    with _lock:
        known = (component, cause) in _said
        if not known and len(_said) < 1000:  # hostile metadata must not fill the memory with causes
            _said.add((component, cause))
        return not known


def failure(component: str, doing: str, error: BaseException) -> None:
    """An internal failure that the program does not notice: one warning per kind, the trace at debug level."""
    warn_once(
        component, (doing, type(error)), f"{doing} failed ({type(error).__name__}); the program goes on without it"
    )
    if LOGGER.isEnabledFor(logging.DEBUG):
        import traceback

        _emit(logging.DEBUG, component, "".join(traceback.format_exception(error)).rstrip())


def _emit(level: int, component: str, message: str) -> None:
    try:
        LOGGER.log(level, "%s: %s", component, message)
    except Exception:  # noqa: S110 - the program's own handler may raise; its trouble must not become the producer's
        pass


def after_fork_in_child() -> None:
    """A lock held by another thread at the fork would never be released in the child."""
    global _lock
    _lock = threading.RLock()
