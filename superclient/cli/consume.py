"""`superclient consume`: a record or a few, a batch, a stream that ends when it is asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from superclient.cli import INTERRUPTED, _offsets_option
from superclient.cli._offsets_option import Start
from superclient.cli._session import Session, pass_session
from superclient.cli.app import Group

if TYPE_CHECKING:
    from superclient.cli._reading import Reading

group = Group(
    "consume",
    examples=[
        "superclient consume poll orders -o -1                       # the last record of each partition",
        "superclient consume batch orders --count 100 --json | jq .key",
        r"superclient consume stream orders --format '{key}\t{value}\n'",
    ],
)

F = TypeVar("F", bound=Callable[..., Any])

_WAIT = 0.25  # seconds of one wait for records: a signal is served after it
_FIELDS = "{key} {value} {headers} {offset} {partition} {topic} {timestamp} {time}"


class _Offset(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in newer clicks alone
    """The text of --offset, parsed."""

    name = "offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Start:
        """Where to begin."""
        if isinstance(value, Start):
            return value
        try:
            return _offsets_option.parsed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _either(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Start | None:
    """-o: an offset as in kcat, or the output file as everywhere else here."""
    start = None
    for one in value:
        if _offsets_option.meant(one):
            start = _Offset().convert(one, param, ctx)
        else:
            ctx.ensure_object(Session).remember("output_file", one)
    return start


def _reading_options(wait: float, about_wait: str, default_group: str) -> Callable[[F], F]:
    """The options of all three commands."""
    options = [
        click.option("--group", metavar="NAME", help=f"the consumer group (default: {default_group})"),
        click.option("--timeout", type=click.FloatRange(0), default=wait, show_default=True, metavar="SECONDS",
                     help=about_wait),
        click.option("--isolation", type=click.Choice(["read_committed", "read_uncommitted"]),
                     help="whether records of transactions that are open or aborted are left out (default: they are)"),
        click.option("-o", "either", multiple=True, callback=_either, metavar="OFFSET|FILE",
                     help="where to begin, as --offset, or the output file, if it is no offset"),
        click.option("--offset", type=_Offset(), metavar="OFFSET",
                     help=f"where to begin: {_offsets_option.TAKES}; a time without a zone is UTC (default: stored, "
                          "where the group goes on)"),
        click.option("--seek-to-offset", type=click.IntRange(0), metavar="N", help="the same as --offset N"),
        click.option("--seek-to-partition", type=click.IntRange(0, 2**31 - 1), metavar="N",
                     help="begin at the offset in this partition alone; the others go on where the group is"),
        click.option("-p", "--partition", type=click.IntRange(0, 2**31 - 1), metavar="N",
                     help="read this partition and no other, without joining the group"),
        click.option("--exit-at-end", is_flag=True, help="end when all that was there has been read"),
        click.option("--format", "template", metavar="FORMAT",
                     help=rf"how a record is written: {_FIELDS}, \n \t \0 \xNN, {{{{ for a brace; nothing is added"),
    ]  # fmt: skip

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_OUTPUT_HELP = (
    "\n\nTo a pipe or a file each value goes with a newline; --json gives a line of JSON for each record, --format "
    "what you like. Bytes stay as they are. Offsets are committed for what was written, and for nothing else."
)


@group.command(
    "poll",
    examples=[
        "superclient consume poll orders",
        "superclient consume poll orders -n 5 -o @2026-01-31T12:00:00",
        "superclient consume poll pictures -p 0 -o 17 --format '{value}' > cat.png",
    ],
    help="Read one record, or a few.\n\nThe status is 0 also where nothing came within the time-out; stderr says so."
    + _OUTPUT_HELP,
)
@click.argument("topic")
@click.option(
    "-n", "-c", "--count", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="so many records"
)
@_reading_options(10.0, "how long to wait for them", "cli-consumer")
@pass_session
def poll(session: Session, /, topic: str, count: int, timeout: float, template: str | None, **where: Any) -> int:
    """Read one record, or a few."""
    return _some(session, topic, count, timeout, template, where)


@group.command(
    "batch",
    examples=[
        "superclient consume batch orders --count 100",
        "superclient consume batch orders --count 1000 -o beginning --exit-at-end --json > orders.ndjson",
    ],
    help="Read so many records, or what comes of them within the time-out.\n\nThe status is 0 also for fewer; stderr "
    "says so." + _OUTPUT_HELP,
)
@click.argument("topic")
@click.option(
    "-c", "-n", "--count", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="so many records"
)
@_reading_options(10.0, "how long to wait for them", "cli-consumer")
@pass_session
def batch(session: Session, /, topic: str, count: int, timeout: float, template: str | None, **where: Any) -> int:
    """Read so many records."""
    return _some(session, topic, count, timeout, template, where)


@group.command(
    "stream",
    examples=[
        "superclient consume stream orders",
        r"superclient consume stream orders -o end --format '{partition}:{offset} {key} {value}\n'",
        "superclient consume stream orders -o beginning --exit-at-end --group one-off | wc -l",
        "superclient consume stream orders --json -f 'key:^42$'",
    ],
    help='Read for ever.\n\nOn Ctrl-C or SIGTERM it says {"event": "shutdown_requested"}, writes what it has in hand, '
    'for no longer than the grace period from the signal, commits, says {"event": "stream_ended"} and ends with '
    "status 0; a second one ends it at once. While the brokers are away it waits for them." + _OUTPUT_HELP,
)
@click.argument("topic")
@click.option("-c", "-n", "--limit", type=click.IntRange(1), metavar="N", help="end after so many records")
@click.option("--grace-period", type=click.FloatRange(0), default=5.0, show_default=True, metavar="SECONDS",
              help="for what is in hand when a signal comes; 0 ends at once")  # fmt: skip
@_reading_options(1.0, "the longest wait for records at a time; the stream goes on after it", "cli-stream")
@pass_session
def stream(
    session: Session,
    /,
    topic: str,
    limit: int | None,
    grace_period: float,
    timeout: float,
    template: str | None,
    **where: Any,
) -> None:
    """Read for ever."""
    from superclient.cli import _stream
    from superclient.cli._writing import batch_writer

    write = batch_writer(session, template)
    with _reading(session, topic, "cli-stream", where) as reading:
        _stream.run(session, reading, write, limit, grace_period, min(timeout, _WAIT), where["exit_at_end"])


def _some(session: Session, topic: str, count: int, timeout: float, template: str | None, where: dict[str, Any]) -> int:
    """Read so many, or what comes in time; on the first signal what was shown is committed, and the group left."""
    from superclient.cli._reading import BATCH
    from superclient.cli._stream import Patience, put
    from superclient.cli._writing import batch_writer

    write = batch_writer(session, template)
    with (
        Patience(0) as patience,
        session.stopping(patience.shorten) as stop,
        _reading(session, topic, "cli-consumer", where) as reading,
    ):
        left, deadline = count, time.monotonic() + timeout
        while left and not stop.requested:
            wait = min(_WAIT, deadline - time.monotonic())
            if messages := reading.fetch(min(left, BATCH), wait):
                if not put(session, patience, write, messages, reading):
                    break
                left -= len(messages)
            elif where["exit_at_end"] and reading.at_end():
                break
            elif wait <= 0:
                why = reading.silence(timeout)
                click.echo(f"{session.path}: {count - left:,} of {count:,} records: {why}", err=True)
                break
        reading.commit()
        return INTERRUPTED if stop.requested and left else 0


def _reading(session: Session, topic: str, default_group: str, where: dict[str, Any]) -> Reading:
    """The reader, as the options say; nothing is asked of the cluster yet."""
    from superclient.cli._reading import Reading, configured

    starts = [where["either"], where["offset"]]
    if where["seek_to_offset"] is not None:
        starts.append(Start("offset", where["seek_to_offset"]))
    given = [one for one in starts if one is not None]
    if len(given) > 1:
        raise click.UsageError("-o, --offset and --seek-to-offset: it takes one of them")
    seek, only = where["seek_to_partition"], where["partition"]
    if seek is not None and not given:
        raise click.UsageError("--seek-to-partition needs an offset: --seek-to-offset N")
    if None not in (seek, only) and seek != only:
        raise click.UsageError(f"--partition {only} does not read --seek-to-partition {seek}")
    session.output.prepare()
    config = configured(session, where["group"], default_group, where["isolation"])
    return Reading(session, topic, config, given[0] if given else None, seek, only)
