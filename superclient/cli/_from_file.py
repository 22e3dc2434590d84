"""`superclient produce from-file`: a JSON file's objects as records, with fields that are key, partition, headers."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import click

from superclient.cli import _json_array
from superclient.cli._json_array import Element
from superclient.cli._pieces import BadInput, Readable
from superclient.cli._sending import Outgoing, Sending, answer, configured, producing, transactional
from superclient.cli._session import Session
from superclient.cli._stdin import Stdin

Told = Callable[[int], None]


class Fields(NamedTuple):
    """The names of the fields that are taken out of each object."""

    key: str | None
    partition: str | None
    headers: str | None

    def record(self, element: Element) -> Outgoing:
        """The record that an object is.

        Raises:
            BadInput: its partition is no whole number, its headers no object.
        """
        data, where = element.data, element.where
        key = _json_array.plain(data.pop(self.key, None)) if self.key is not None else None
        partition = self._partition(data, where) if self.partition is not None else None
        headers = self._headers(data, where) if self.headers is not None else None
        return Outgoing(_json_array.encoded(data), key, partition, headers, where)

    def _partition(self, data: dict[str, Any], where: str) -> int | None:
        found = data.pop(self.partition or "", None)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**31:
            shown = _json_array.encoded(found).decode()
            raise BadInput(f"{where}: {self.partition} is {shown}: a partition is a number from 0")
        return found

    def _headers(self, data: dict[str, Any], where: str) -> list[tuple[str, bytes | None]]:
        found = data.pop(self.headers or "", None)
        if found is None:
            return []
        if not isinstance(found, dict):
            shown = _json_array.encoded(found).decode()
            raise BadInput(f"{where}: {self.headers} is {shown}: headers are an object")
        for name in found:
            if "\0" in name or not name.encode("utf-8", "ignore").decode() == name:
                raise BadInput(f"{where}: {self.headers} has the name {name!r}, which Kafka cannot hold")
        return [(name, _json_array.plain(value)) for name, value in found.items()]


class _Source:
    """The records of the file, and whether it was read to its end."""

    def __init__(self, stream: Readable, fields: Fields, by_line: bool, stopped: Callable[[], bool]) -> None:
        self._stream, self._fields, self._stopped = stream, fields, stopped
        self._read = _json_array.lines if by_line else _json_array.elements
        self.ended = False

    def records(self, told: Told) -> Iterator[Outgoing]:
        """A record for each object; `told` hears of the bytes that were read."""
        try:
            for element in self._read(self._stream, told):
                if self._stopped():
                    return
                yield self._fields.record(element)
        except BadInput:
            if isinstance(self._stream, Stdin) and self._stream.cut:
                raise KeyboardInterrupt from None  # what it says of the end of the input is our own doing
            raise
        self.ended = True

    def check(self, told: Told) -> int:
        """Read it to its end; the largest partition that it names, -1 for none.

        Raises:
            BadInput: something in it is wrong.
        """
        seen: set[str] = set()
        largest, number = -1, 0
        names = {name for name in self._fields if name is not None}
        for element in self._read(self._stream, told):
            number = element.number
            if self._stopped():
                raise KeyboardInterrupt
            seen.update(names & element.data.keys() if len(seen) < len(names) else ())
            largest = max(largest, self._fields.record(element).partition or -1)
        if number and (missing := names - seen):
            raise BadInput(f"no object has a field {sorted(missing)[0]!r}")
        return largest


def run(
    session: Session,
    topic: str,
    file: str,
    timeout: float | None,
    *,
    key_field: str | None,
    partition_field: str | None,
    headers_field: str | None,
    by_line: bool,
    transactional_id: str | None,
    batch_size: int | None,
    no_check: bool,
) -> int:
    """The command; its exit status."""
    fields = Fields(key_field, partition_field, headers_field)
    if len({name for name in fields if name is not None}) < sum(name is not None for name in fields):
        raise click.UsageError("--key-field, --partition-field and --headers-field: one field cannot be two of them")
    transactional_id = transactional(session, transactional_id)
    config = configured(session, timeout, transactional_id)
    with session.stopping() as stop, contextlib.ExitStack() as stack:
        stream: BinaryIO | Stdin = Stdin(stop) if file == "-" else stack.enter_context(open(file, "rb"))
        # A whole file in one transaction is the one that a signal lets finish.
        atomic = transactional_id is not None and batch_size is None
        size, largest = None, -1
        if not isinstance(stream, Stdin) and stream.seekable():
            size = os.fstat(stream.fileno()).st_size
        if not isinstance(stream, Stdin) and size is not None and not no_check:
            with session.progress(size, "checking") as told:
                largest = _Source(stream, fields, by_line, lambda: stop.requested).check(told)
            stream.seek(0)
        source = _Source(stream, fields, by_line, lambda: stop.requested and not atomic)
        with producing(session, topic, config, timeout, stop) as sending:
            if largest >= 0:
                sending.check(largest)
            with session.progress(size, "sending") as told:
                records = source.records(told)
                if transactional_id is None:
                    _in_batches(sending, records, batch_size)
                else:
                    sending.in_transactions(records, batch_size, stop)
            more = {} if transactional_id is None else {"transactions": sending.transactions}
            return answer(session, sending.summary(**more), not source.ended)


def _in_batches(sending: Sending, records: Iterator[Outgoing], size: int | None) -> None:
    """Send them, waiting for each `size` of them to be delivered; None: for all."""
    if size is None:
        sending.all(records)
        return
    for first in records:
        sending.all(itertools.chain([first], itertools.islice(records, size - 1)))
