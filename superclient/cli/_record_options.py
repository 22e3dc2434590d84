"""The options that say what is sent, and the records that they make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from superclient.cli import _format
from superclient.cli._pieces import Readable, pieces

if TYPE_CHECKING:
    from superclient.cli._sending import Outgoing


class _Header(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in newer clicks alone
    """NAME=VALUE of -H; without the sign a header without a value."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, bytes | None]:
        """Its name, and its value as bytes."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not name:
            self.fail(f"{value!r} has no name: it takes NAME=VALUE", param, ctx)
        try:
            name.encode()
        except UnicodeEncodeError:  # bytes: of a locale with few letters, or no text at all
            try:
                name = os.fsencode(name).decode()
            except UnicodeDecodeError:
                self.fail(f"the name {name!r} is no text in UTF-8", param, ctx)
        return name, os.fsencode(text) if sign else None


class _Delimiter(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    r"""Text with \n, \t, \0, \xNN as bytes."""

    name = "delimiter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """At least one byte."""
        if isinstance(value, bytes):
            return value
        try:
            found = _format.unescaped(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not found:
            self.fail("it is empty", param, ctx)
        return found


TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(0.1), metavar="SECONDS",
    help="give up when the cluster does not answer (default: 10), or does not take a record "
    "(default: 30 for a single one, else delivery.timeout.ms)",
)  # fmt: skip


def record_options(command: Any) -> Any:
    """The options of what is sent, the same for `send` and `transaction`."""
    for option in reversed([
        click.option("-k", "--key", metavar="TEXT", help="the key of every record"),
        click.option("-v", "--value", metavar="TEXT", help="the value; without it values come from stdin, a line each"),
        click.option(
            "--value-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
            help="the value is the file's content, as it is",
        ),
        click.option(
            "-H", "--header", "headers", type=_Header(), multiple=True, metavar="NAME=VALUE",
            help="a header, as often as needed; NAME alone has no value",
        ),
        click.option("-p", "--partition", type=click.IntRange(0, 2**31 - 1), metavar="N", help="the partition"),
        click.option(
            "-K", "--key-delimiter", type=_Delimiter(), metavar="TEXT",
            help=r"what stands between key and value in a line of stdin; \t is a tab",
        ),
        click.option(
            "-D", "--delimiter", type=_Delimiter(), default=r"\n", metavar="TEXT", show_default=True,
            help=r"what ends a value on stdin; \0 and \xNN too",
        ),
        click.option("-Z", "--null", is_flag=True, help="an empty value is a tombstone"),
        TIMEOUT,
    ]):  # fmt: skip
        command = option(command)
    return command


class Made(NamedTuple):
    """How records are made of values: what the options of `_record_options` say."""

    key: str | None
    value: str | None
    value_file: str | None
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int | None
    key_delimiter: bytes | None
    delimiter: bytes
    null: bool

    def given(self) -> Outgoing | None:
        """The record whose value is an option; None: values come from stdin."""
        from superclient.cli._sending import Outgoing

        if self.value is not None and self.value_file is not None:
            raise click.UsageError("--value and --value-file: it takes one of them")
        if self.value is None and self.value_file is None:
            return None
        value = os.fsencode(self.value) if self.value is not None else Path(str(self.value_file)).read_bytes()
        key = None if self.key is None else os.fsencode(self.key)
        return Outgoing(None if self.null and not value else value, key, self.partition, self.headers)

    def lines(self, stdin: Readable, largest: int) -> Iterator[Outgoing]:
        """A record for each piece of stdin."""
        from superclient.cli._sending import Outgoing

        key = None if self.key is None else os.fsencode(self.key)
        for number, line in enumerate(pieces(stdin, self.delimiter, largest), 1):
            found, value = key, line
            if self.key_delimiter is not None:
                before, sign, after = line.partition(self.key_delimiter)
                if sign:
                    found, value = before, after
            yield Outgoing(None if self.null and not value else value, found, self.partition, self.headers, number)
