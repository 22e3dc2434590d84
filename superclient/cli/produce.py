"""`superclient produce`: one record, a transaction of them, lines of stdin, the objects of a JSON file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from superclient.cli._record_options import TIMEOUT, Made, record_options
from superclient.cli._session import Session, Stop, pass_session
from superclient.cli._stdin import Stdin
from superclient.cli.app import Group

if TYPE_CHECKING:
    from superclient.cli._sending import Outgoing
    from superclient.toolkit.config import ProducerConfig

group = Group(
    "produce",
    examples=[
        "superclient produce send orders -k 42 -v '{\"total\": 12.50}'",
        "tail -F app.log | superclient produce send logs",
        "superclient produce from-file orders orders.json --key-field id",
    ],
)

_ONE = 30.0  # seconds in which a single record is delivered, or given up


@group.command(
    "send",
    examples=[
        "superclient produce send orders -k 42 -v hello -H source=shop",
        "superclient produce send orders -k 42 -v '' -Z                    # a tombstone",
        "superclient produce send pictures --value-file cat.png",
        "seq 1000 | superclient produce send numbers                      # a record for each line",
        r"printf 'a\t1\nb\t2\n' | superclient produce send counts -K '\t'   # keys too",
    ],
)
@click.argument("topic")
@record_options
@pass_session
def send(session: Session, /, topic: str, timeout: float | None, **options: Any) -> int:
    """Send one record, or one for each line of stdin.

    Tells the partition and the offset of the one, or how many were delivered. Lines are sent as they come; an empty
    line is an empty value.
    """
    from superclient.cli._sending import answer, configured, producing

    made = Made(**options)
    record = made.given()
    if record is not None:
        return _send_one(session, topic, record, timeout)
    config = configured(session, timeout)
    with session.stopping() as stop, producing(session, topic, config, timeout, stop) as sending:
        stdin = _stdin(session, stop)
        with session.progress(None, "sending") as told:
            sending.all(made.lines(stdin, _largest(config)), told)
        return answer(session, sending.summary(), stdin.cut)


def _send_one(session: Session, topic: str, record: Outgoing, timeout: float | None) -> int:
    from superclient.cli._sending import configured, producing

    with producing(session, topic, configured(session, timeout or _ONE), timeout) as sending:
        if record.partition is not None:
            sending.check(record.partition)
        result = sending.producer.produce(topic, record.value, record.key, record.partition, record.headers)
        if result.error is not None:
            raise result.error
        found = {name: one for name, one in result.to_dict().items() if name != "error"}
        session.output.document(found, lambda: f"{topic}[{result.partition}]@{result.offset}")
    return 0


@group.command(
    "transaction",
    examples=[
        "superclient produce transaction orders --count 3 -k 42 -v hello",
        "superclient produce transaction orders < orders.ndjson              # all lines, or none",
        "superclient produce transaction orders --count 100 < orders.ndjson  # 100 lines, or none, and so on",
    ],
)
@click.argument("topic")
@click.option(
    "-c", "--count", type=click.IntRange(1), metavar="N",
    help="records of a transaction: with --value so many copies in one (default: 1); "
    "with stdin a transaction for each N lines (default: all lines in one)",
)  # fmt: skip
@click.option(
    "--transactional-id", metavar="ID",
    help="a newer producer with the same one fences this one (default: cli-produce-tx-…, one of its own)",
)  # fmt: skip
@record_options
@pass_session
def transaction(
    session: Session,
    /,
    topic: str,
    count: int | None,
    transactional_id: str | None,
    timeout: float | None,
    **options: Any,
) -> int:
    """Send records that readers see all together, or not at all.

    Ctrl-C lets the current transaction finish. A transaction that takes longer than transaction.timeout.ms (60 s, see
    -X) is aborted by the brokers.
    """
    from superclient.cli._sending import answer, configured, producing, transactional

    made = Made(**options)
    record = made.given()
    transactional_id = transactional(session, transactional_id)
    config = configured(session, None, own_id() if transactional_id is None else transactional_id)
    with session.stopping() as stop, producing(session, topic, config, timeout, stop) as sending:
        stdin = None if record is not None else _stdin(session, stop)
        with session.progress(None if record is None else count or 1, "sending") as told:
            if record is not None:
                sending.in_transactions(itertools.repeat(record, count or 1), None, stop, told)
                if not sending.transactions:  # asked to stop before it began
                    raise KeyboardInterrupt
            else:
                assert stdin is not None
                lines = made.lines(stdin, _largest(config))
                sending.in_transactions(lines if count else whole(lines, stdin), count, stop, told)
        more = {"transactional_id": config.transactional_id, "transactions": sending.transactions}
        return answer(session, sending.summary(**more), stdin is not None and not stdin.ended)


@group.command(
    "from-file",
    examples=[
        "superclient produce from-file orders orders.json --key-field id",
        "superclient produce from-file orders orders.json --transactional-id load-1   # all of it, or nothing",
        "curl -s https://example.org/orders | superclient produce from-file orders -",
    ],
)
@click.argument("topic")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--key-field", metavar="NAME", help="the field that is the key; it is taken out of the value")
@click.option("--partition-field", metavar="NAME", help="the field that is the partition, a whole number; taken out")
@click.option("--headers-field", metavar="NAME", help="the field that has the headers, an object; taken out")
@click.option("--lines", "by_line", is_flag=True, help="the file has an object a line (NDJSON) instead of an array")
@click.option("--transactional-id", metavar="ID", help="send in a transaction: the whole file is seen, or nothing")
@click.option(
    "--batch-size", type=click.IntRange(1), metavar="N",
    help="with --transactional-id a transaction for each N records; without it, wait after each N",
)  # fmt: skip
@click.option("--no-check", is_flag=True, help="send at once: do not read the file before, to see that it is right")
@TIMEOUT
@pass_session
def from_file(session: Session, /, topic: str, file: str, timeout: float | None, **options: Any) -> int:
    """Send the objects of a JSON array as a record each.

    FILE may have any size, - is stdin. A field that is taken out may be missing or null in an object: no key, any
    partition, no headers. A file is read twice: nothing is sent of one that is wrong somewhere. Values are compact
    JSON; numbers keep their digits.
    """
    from superclient.cli import _from_file

    return _from_file.run(session, topic, file, timeout, **options)


def own_id() -> str:
    """A transactional id that nobody else has."""
    return f"cli-produce-tx-{os.urandom(6).hex()}"


def whole(records: Iterable[Outgoing], stdin: Stdin) -> Iterator[Outgoing]:
    """All records, or KeyboardInterrupt where stdin was cut: half of them are not what was to be seen together."""
    yield from records
    if stdin.cut:
        raise KeyboardInterrupt


def _stdin(session: Session, stop: Stop) -> Stdin:
    stdin = Stdin(stop)
    if session.watched and stdin.typed:
        click.echo("A record for each line that you type; Ctrl-D ends.", err=True)
    return stdin


def _largest(config: ProducerConfig) -> int:
    return int(config.additional_config.get("message.max.bytes", 1_000_000))
