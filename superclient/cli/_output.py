"""Where a command's answers go: documents, records, lines and events, on stdout or in a file, filtered.

A person at a terminal gets what `human` draws; everybody else gets JSON. A command says what it found and leaves the
form to `Output`. Progress, warnings and errors are not answers: they go to stderr, past this.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from superclient import cli
from superclient.cli._filter import Filter

if TYPE_CHECKING:
    from rich.console import RenderableType

_BUFFER = 1 << 16  # bytes: a system call for each record would be most of what consuming costs
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


class Output:
    """What a command prints.

    Args:
        json: JSON was asked for.
        compact: each JSON document on one line; None where nobody said so.
        file: its path; None for stdout.
        pattern: `--filter`; None keeps everything.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        compact: bool | None = None,
        file: str | None = None,
        pattern: str | None = None,
    ) -> None:
        self._file = None if file in (None, "-") else file
        self._stream: BinaryIO | None = None
        self._stdout: BinaryIO | None = None
        self.filter = None if pattern is None else Filter(pattern)
        self.json = json or compact is not None
        self.watched = self._file is None and sys.stdout is not None and sys.stdout.isatty()
        """Whether the answers go to a terminal."""
        self.machine = self.json or not self.watched
        """Whether they are JSON: it was asked for, or nobody watches."""
        self._compact = bool(compact)
        self._a_line_each = self._compact or (compact is None and not self.watched)

    def document(self, data: object, human: Callable[[], RenderableType] | None = None) -> None:
        """One answer: as `human` draws it for a person, its lines filtered; else as JSON."""
        if human is not None and not self.machine and not (self.filter and self.filter.keyed):
            self._draw(human())
            return
        data = data if self.filter is None else self.filter.document(plain(data))
        self.write(_encoded(data, self._compact))

    def record(self, data: Callable[[], Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """One of many, as JSON; a line each unless a person watches."""
        found: object = data() if callable(data) else data
        if self.filter is None or self.filter.keeps(found := plain(found)):
            self.write(_encoded(found, self._a_line_each))

    def line(self, text: str) -> None:
        """A line of text, which the filter sees as it is; also several in one."""
        if self.filter is None or self.filter.keeps_line(text):
            self.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def write(self, data: bytes) -> None:
        """Bytes as they are, past the filter; buffered unless a person watches."""
        stream = self._stream or self._open()
        stream.write(data)
        if self.watched:
            stream.flush()

    def event(self, name: str, **fields: object) -> None:
        """`{"event": name, …}`, a line on stdout whatever the output is, there at once."""
        self.flush()
        stream = self._standard()
        stream.write(_encoded({"event": name, **fields}, compact=True))
        stream.flush()

    def flush(self) -> None:
        """Let go what is buffered."""
        if self._stream is not None:
            self._stream.flush()

    def abandon(self) -> None:
        """Nobody reads: let what is buffered, and whatever comes, go nowhere, so that nothing waits for a reader."""
        if self._stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            with contextlib.suppress(OSError, ValueError):  # a test's, which waits for nobody
                os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def close(self) -> None:
        """Flush, and close the file if it is one.

        Raises:
            OSError: the disk is full, or the reader has gone.
        """
        stream, stdout = self._stream, self._stdout
        self._stream = self._stdout = None
        if stream is not None and stream is not stdout:
            stream.close()
        if stdout is not None:
            try:
                stdout.flush()
            except OSError:
                cli.give_up_stdout()
                raise

    def prepare(self) -> None:
        """Open the output now: whoever may not write there should know before anything is consumed.

        Raises:
            click.UsageError: the file cannot be written.
        """
        self._open()

    def _open(self) -> BinaryIO:
        if self._stream is None:
            self._stream = self._standard() if self._file is None else self._opened(self._file)
        return self._stream

    def _opened(self, file: str) -> BinaryIO:
        try:
            return open(file, "wb", buffering=_BUFFER)
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None

    def _standard(self) -> BinaryIO:
        if self._stdout is None:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "stdout is closed")
            sys.stdout.flush()
            try:
                number = sys.stdout.fileno()
                self._stdout = open(number, "wb", buffering=_BUFFER, closefd=False)  # noqa: SIM115  # kept
            except (OSError, ValueError, io.UnsupportedOperation):  # a test's, or closed
                self._stdout = sys.stdout.buffer
        return self._stdout

    def _draw(self, picture: RenderableType) -> None:
        from superclient.cli._screen import Screen

        console = Screen(highlight=False)
        console.widen()
        with console.capture() as captured:
            console.print(picture)
        for line in captured.get().splitlines():
            if self.filter is None or self.filter.keeps_line(_COLOURS.sub("", line)):
                self.write(line.encode("utf-8", "backslashreplace") + b"\n")


def plain(data: object) -> object:
    """As JSON will have it: keys are texts, tuples are lists, and what JSON does not know is text."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(one) for one in data]
    return data if data is None or isinstance(data, (bool, int, float, str)) else _text(data)


def _text(data: object) -> str:
    return data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else str(data)


def _encoded(data: object, compact: bool) -> bytes:
    separators = (",", ":") if compact else None
    text = json.dumps(data, ensure_ascii=False, indent=None if compact else 2, separators=separators, default=_text)
    return text.encode("utf-8", "backslashreplace") + b"\n"
