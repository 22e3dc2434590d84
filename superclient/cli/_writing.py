"""How consumed records are written: values to a pipe, JSON lines, a format of one's own, a line each for a person.

A batch is one piece of bytes, written at once: a system call for each record would be most of what consuming costs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from superclient.cli import _format
from superclient.cli._output import Output
from superclient.cli._session import Session
from superclient.toolkit.results import MessageResult

BatchWriter = Callable[[Sequence[Any]], None]
"""Writes confluent_kafka.Messages and flushes them."""


def batch_writer(session: Session, template: str | None) -> BatchWriter:
    """How this command writes: `template` is its --format.

    Raises:
        click.UsageError: a format that cannot be, or one together with --json.
    """
    output = session.output
    if template is not None:
        if output.json:
            raise click.UsageError("--format and --json: it takes one of them")
        try:
            return _each(output, _format.compiled(template))
        except ValueError as error:
            raise click.UsageError(f"--format {error}") from None
    if output.json:
        return _as_json(output)
    if not output.machine:
        return _each(output, _for_a_person(_colours()))
    return _values(output) if output.filter is None else _each(output, _value_line)


def _colours() -> bool:
    """As rich has it for what is drawn elsewhere: an empty NO_COLOR says nothing."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def _values(output: Output) -> BatchWriter:
    """Each value and a newline, as kcat writes them; a tombstone is an empty line."""

    def write(messages: Sequence[Any]) -> None:
        output.write(b"\n".join([message.value() or b"" for message in messages]) + b"\n")
        output.flush()

    return write


def _each(output: Output, one: _format.Writer) -> BatchWriter:
    def write(messages: Sequence[Any]) -> None:
        pieces: Iterable[bytes] = map(one, messages)
        if output.filter is not None:
            keeps = output.filter.keeps_line
            pieces = filter(lambda piece: keeps(piece.decode("utf-8", "backslashreplace")), pieces)
        output.write(b"".join(pieces))
        output.flush()

    return write


def _as_json(output: Output) -> BatchWriter:
    def write(messages: Sequence[Any]) -> None:
        for message in messages:
            output.record(MessageResult.of(message).to_dict())
        output.flush()

    return write


def _value_line(message: Any) -> bytes:
    return (message.value() or b"") + b"\n"


def _for_a_person(colours: bool) -> _format.Writer:
    """Partition@offset, time, key, value, headers; whatever would move the cursor is shown as its escape."""

    def write(message: Any) -> bytes:
        time = _format.iso(_format.timestamp(message))
        place = f"{message.partition()}@{message.offset()}  {time}"
        key, value = message.key(), message.value()
        parts = [click.style(place, dim=True) if colours else place]
        if key is not None:
            parts.append(click.style(_printable(key), fg="cyan") if colours else _printable(key))
        parts.append("(tombstone)" if value is None else _printable(value))
        if headers := _format.FIELDS["headers"](message):
            parts.append(click.style(f"[{_printable(headers)}]", dim=True) if colours else f"[{_printable(headers)}]")
        return ("  ".join(parts) + "\n").encode("utf-8", "backslashreplace")

    return write


def _printable(data: bytes) -> str:
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
