"""`superclient load`: synthetic records, so that a topic, a cluster or a consumer has something to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from superclient.cli import INTERRUPTED
from superclient.cli._record_options import TIMEOUT
from superclient.cli._session import Session, Stop, pass_session
from superclient.cli.app import Group

if TYPE_CHECKING:
    from superclient.cli._sending import Outgoing, Sending

group = Group("load", examples=["superclient load test-data playground --count 100000 --keys 50000"])

_PAUSE = 0.05  # seconds: the rate is kept over such a time


@group.command(
    "test-data",
    examples=[
        "superclient load test-data playground",
        "superclient load test-data playground --count 1000000 --size 1000 --keys 50000 -X compression.type=zstd",
        "superclient load test-data playground --rate 500 --count 60000   # two minutes",
    ],
)
@click.argument("topic")
@click.option("-n", "--count", type=click.IntRange(1), default=1000, show_default=True, metavar="N", help="of records")
@click.option("--size", type=click.IntRange(1, 100_000_000), metavar="BYTES",
              help="of each value, about; at least an id, some 50 (default: as they come, about 270)")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0.01), metavar="N", help="records a second (default: as fast as it goes)")
@click.option("--keys", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="how many different keys, some far busier than others; 0: records without keys")  # fmt: skip
@click.option(
    "--seed", type=int, default=1, show_default=True, metavar="N", help="the same seed gives the same records"
)
@TIMEOUT
@pass_session
def test_data(
    session: Session,
    /,
    topic: str,
    count: int,
    size: int | None,
    rate: float | None,
    keys: int,
    seed: int,
    timeout: float | None,
) -> int:
    """Produce events of a web shop, as JSON.

    They compress like real ones: a handful of pages, countries and products make up most of them, ids and times are new
    each time. Tells the records and megabytes a second that the brokers have acknowledged. Ctrl-C ends it early.
    """
    from superclient.cli._events import events
    from superclient.cli._sending import configured, producing

    config = configured(session, timeout)
    with session.stopping() as stop, producing(session, topic, config, timeout, stop) as sending:
        with session.progress(count, "sending") as told:
            sending.all(_paced(events(count, size, keys, seed), sending, rate, stop), told)
        summary = sending.summary()
        seconds = max(time.monotonic() - sending.started, 1e-9)
        summary |= {
            "bytes": sending.bytes,
            "records_per_second": round(sending.delivered / seconds, 1),
            "mb_per_second": round(sending.bytes / seconds / 1e6, 3),
        }
        session.output.document(
            summary,
            lambda: (
                f"{sending.delivered:,} records to {topic} in {seconds:,.1f} s: "
                f"{sending.delivered / seconds:,.0f} records/s, {sending.bytes / seconds / 1e6:,.1f} MB/s"
            ),
        )
        return INTERRUPTED if stop.requested and sending.sent < count else 0


def _paced(records: Iterator[Outgoing], sending: Sending, rate: float | None, stop: Stop) -> Iterator[Outgoing]:
    """The same records, no faster than the rate; none after a stop was asked for."""
    started = time.monotonic()
    for number, record in enumerate(records):
        while rate is not None and not stop.requested:
            early = started + number / rate - time.monotonic()
            if early <= 0:
                break
            sending.producer.poll(min(early, _PAUSE))
        if stop.requested:
            return
        yield record
