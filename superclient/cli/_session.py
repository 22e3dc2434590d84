"""What one command line was asked for: its global options, the configuration they lead to, and who is watching.

`Session` is click's context object; a command takes it first, by `@pass_session`. Nothing of a Kafka library is
imported here before a configuration is asked for.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from superclient import redact
from superclient.cli._output import Output

if TYPE_CHECKING:
    from superclient.toolkit.config import AdminConfig, ConsumerConfig, ProducerConfig

    Config = TypeVar("Config", AdminConfig, ConsumerConfig, ProducerConfig)

ROLES = ("producer", "consumer", "admin")
DEFAULT_GROUP = "cli-consumer"
_DEFAULTS: dict[str, dict[str, object]] = {
    "consumer": {"group.id": DEFAULT_GROUP},
    "admin": {"request.timeout.ms": 10_000},  # a person waits
}
LIBRARY_LOGGER = "superclient.cli.librdkafka"
# "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)"
_REASON = re.compile(r"(?:.*?/\w+: )?(?:Connect to \S+ failed: )?(.*?)(?: \(after \d+ms.*)?", re.DOTALL)
_AFTER = re.compile(r" \(after \d+ms[^)]*\)")
# What the library says when it reached nobody, and when somebody would not have us.
_AWAY = frozenset(["_TIMED_OUT", "_MSG_TIMED_OUT", "_TIMED_OUT_QUEUE", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"])
_REFUSED = frozenset(["_AUTHENTICATION", "_SSL", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM"])


class Stop:
    """Whether the command was asked to end: `requested`, and `at`, the time.monotonic() of the first signal."""

    def __init__(self) -> None:
        self.requested = False
        self.at: float | None = None


class Session:
    """One command line; made before its words are read, and told each global option as it is found."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.settings: dict[str, str] = {}
        """What -X said, by librdkafka's names."""
        self.path = "superclient"
        """The command as it was written, for messages."""
        self.begun = False
        """Whether a command was found and runs: what is refused from now on is no mistake of spelling."""
        self.interrupted = False
        """Whether KeyboardInterrupt was raised; in a callback of librdkafka's it is lost, and leaves a SystemError."""
        self.trouble: tuple[str, str] | None = None
        """The last error of a connection: the library's name of it, and the reason in words."""
        self._servers = ""
        self._handlers: list[tuple[logging.Logger, logging.Handler, int]] = []
        self._notes_interrupts = False

    def remember(self, name: str, value: Any) -> None:
        """A global option by the name of its parameter ("output_file"); the last one wins."""
        if name == "option":
            self.settings.update(value)
        else:
            self.options[name] = value

    @property
    def verbose(self) -> bool:
        """Whether -v was given."""
        return bool(self.options.get("verbose"))

    @cached_property
    def watched(self) -> bool:
        """Whether a person watches stderr."""
        return sys.stderr is not None and sys.stderr.isatty()

    @cached_property
    def output(self) -> Output:
        """Where answers go."""
        return Output(
            json=bool(self.options.get("json")),
            compact=None if "pretty_json" not in self.options else not self.options["pretty_json"],
            file=self.options.get("output_file"),
            pattern=self.options.get("filter"),
        )

    # --- configuration

    def producer_config(self, **overrides: Any) -> ProducerConfig:
        """How producers are made here: the file's environment < -b < -X < `overrides`, which are fields.

        Raises:
            ConfigFileError: the file is not what it should be.
            click.UsageError: a value that cannot be meant.
        """
        from superclient.toolkit.config import ProducerConfig

        return self._connected(ProducerConfig, overrides)

    def consumer_config(self, default_group: str = DEFAULT_GROUP, **overrides: Any) -> ConsumerConfig:
        """As `producer_config`; the group is `default_group` unless somebody says otherwise."""
        from superclient.toolkit.config import ConsumerConfig

        return self._connected(ConsumerConfig, overrides, {"group.id": default_group})

    def admin_config(self, **overrides: Any) -> AdminConfig:
        """As `producer_config`."""
        from superclient.toolkit.config import AdminConfig

        return self._connected(AdminConfig, overrides)

    def environment(self, role: str) -> str | None:
        """The environment of a role: its own option, else --env, else None."""
        found: str | None = self.options.get(f"{role}_env", self.options.get("env"))
        return found

    def show_config(self, *, answer: bool) -> None:
        """Print what each role is configured with, secrets masked: as the answer, or on stderr before it."""
        from superclient.toolkit import config

        found: dict[str, object] = {"config_file": self.config_file}
        for one in (
            self._config(config.ProducerConfig, {}),
            self._config(config.ConsumerConfig, {}),
            self._config(config.AdminConfig, {}),
        ):
            found[one.ROLE] = {"env": self.environment(one.ROLE), **one.masked()}
        if answer:
            self.output.document(found)
        else:
            compact = self.options.get("pretty_json") is False
            click.echo(json.dumps(found, indent=None if compact else 2, default=str), err=True)

    @property
    def config_file(self) -> str | None:
        """The file that is read; None where there is none."""
        from superclient.toolkit import files

        path: str | None = self.options.get("config_file")
        default = os.path.expanduser(files.DEFAULT_PATH)
        return path or (default if os.path.exists(default) else None)

    def _connected(self, cls: type[Config], overrides: dict[str, Any], defaults: Mapping[str, object] = {}) -> Config:
        """A configuration whose client tells us, and nobody else, what happens to its connections."""
        config = self._config(cls, overrides, defaults)
        self._servers = str(redact.masked("bootstrap.servers", config.bootstrap_servers))
        ours = {"logger": logging.getLogger(LIBRARY_LOGGER), "error_cb": self._noted}
        return replace(config, additional_config={**ours, **config.additional_config})

    def _config(self, cls: type[Config], overrides: dict[str, Any], defaults: Mapping[str, object] = {}) -> Config:
        from superclient.toolkit import files

        env = self.environment(cls.ROLE)
        settings = files.for_role(files.resolve_env_config(env, self.options.get("config_file")), cls.ROLE)
        if "bootstrap_servers" in self.options:  # also an empty one, which is refused: a variable that is not set
            settings["bootstrap.servers"] = self.options["bootstrap_servers"]
        settings |= self.settings
        settings = {**_DEFAULTS.get(cls.ROLE, {}), **defaults, **settings}
        if "bootstrap_servers" not in overrides:
            settings = files.with_servers(settings, env)
        try:
            return cls.from_mapping(settings, **overrides)
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error

    # --- what happens meanwhile

    @contextlib.contextmanager
    def progress(self, total: int | None, doing: str) -> Iterator[Callable[[int], None]]:
        """A progress bar on stderr where a person watches; yields what is told how many more are done."""
        if not self.watched:
            yield lambda more: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task(doing, total=total)
            yield lambda more: shown.advance(task, more)

    @contextlib.contextmanager
    def stopping(self, on_signal: Callable[[], None] | None = None) -> Iterator[Stop]:
        """Let SIGINT and SIGTERM ask for the end: `Stop.requested`, and `on_signal` once, from the signal's handler.

        A second signal raises KeyboardInterrupt. Off the main thread nothing is asked.
        """
        stop = Stop()

        def ask(number: int, frame: object) -> None:
            if stop.requested:
                self._interrupt()
            stop.requested, stop.at = True, time.monotonic()
            if on_signal is not None:
                on_signal()

        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int = 0, frame: object = None) -> NoReturn:
        self.interrupted = True
        raise KeyboardInterrupt

    def _noted(self, error: Any) -> None:
        """librdkafka's error callback."""
        if error.name() != "_ALL_BROKERS_DOWN" or "No brokers" in error.str():  # else it says how many, not why
            self.trouble = (str(error.name()), _reason(str(error.str())))

    def explained(self, error: BaseException, code: str | None) -> str:
        """An error in one line; what was heard of the connections before is the reason of a time-out."""
        name, reason = self.trouble or (code, "")
        if name in _REFUSED and (code in _REFUSED or code in _AWAY):
            return f"{self._servers} refuses the connection: {reason or error}"
        if code in _AWAY and self._servers:
            return f"no broker at {self._servers} ({reason})" if reason else f"{error} (brokers: {self._servers})"
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return _said(error) or type(error).__name__

    # --- logging

    def begin(self, path: str) -> None:
        """A command runs: show warnings on stderr, each once; with -v also events, and what librdkafka says."""
        if self.begun:
            return
        self.path, self.begun = path, True
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._notes_interrupts = True
        handler = _Stderr(self)
        for name in ("superclient", LIBRARY_LOGGER):
            logger = logging.getLogger(name)
            self._handlers.append((logger, handler, logger.level))
            logger.addHandler(handler)
        logging.getLogger("superclient").setLevel(logging.INFO if self.verbose else logging.WARNING)
        library = logging.getLogger(LIBRARY_LOGGER)
        if not any(isinstance(each, logging.NullHandler) for each in library.handlers):
            library.addHandler(logging.NullHandler())  # stays: a client may outlive the command that made it
        library.setLevel(logging.DEBUG if self.verbose else logging.CRITICAL + 1)
        library.propagate = False

    def end(self) -> None:
        """Take the handlers back, let go what is buffered."""
        for logger, handler, level in self._handlers:
            logger.removeHandler(handler)
            logger.setLevel(level)
        self._handlers.clear()
        if self._notes_interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._notes_interrupts = False
        if "output" in self.__dict__:
            self.output.close()


pass_session = click.make_pass_decorator(Session, ensure=True)


class _Stderr(logging.Handler):
    """Log records as lines on stderr; the same warning is shown once."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._shown = session, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING and record.name != LIBRARY_LOGGER:
            said = _AFTER.sub("", text)
            if said in self._shown:
                return
            self._shown.add(said)
            text = f"{self._session.path}: warning: {text}"
        with contextlib.suppress(OSError, ValueError):  # stderr is closed
            click.echo(text, err=True)


def _said(error: BaseException) -> str:
    """An exception's text; of the library's own without its struct around it."""
    found: Any = error.args[0] if error.args else None
    if type(found).__module__.endswith("cimpl") and hasattr(found, "str"):
        return f"{found.str()} ({found.name()})"
    return str(error)


def _reason(text: str) -> str:
    found = _REASON.fullmatch(text)
    return found[1] if found else text
