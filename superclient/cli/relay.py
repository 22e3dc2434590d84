"""`superclient relay stream SOURCE TARGET`: every record of one topic into another, exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from superclient.cli._session import Session, pass_session
from superclient.cli.app import Group

if TYPE_CHECKING:
    from superclient.toolkit import KafkaConsumer
    from superclient.toolkit.config import ConsumerConfig, ProducerConfig
    from superclient.toolkit.forwarding import Transform

GROUP, TRANSACTIONAL_ID = "cli-relay", "cli-relay-tx"
# Pausing a partition throws away what librdkafka has fetched ahead of it: by default up to 100,000 records.
_FETCHED_AHEAD = 5_000

group = Group("relay", examples=["superclient relay stream orders orders-copy --stop-on-empty"])


@group.command(
    "stream",
    examples=[
        "superclient relay stream orders orders-copy                       # until Ctrl-C",
        "superclient relay stream orders orders-copy --max-in-flight 4 --transactional-id copier-1",
        "superclient relay stream orders upper --transform 'value.upper()' --dead-letter upper-failed",
        "superclient relay stream orders paid --transform 'value if data[\"paid\"] else drop'",
    ],
)
@click.argument("source")
@click.argument("target")
@click.option("--group", "group_id", metavar="GROUP", help=f"Consumer group.  [default: {GROUP}]")
@click.option(
    "--transactional-id",
    metavar="ID",
    help=f"Each relay that runs at the same time takes its own, kept over restarts.  [default: {TRANSACTIONAL_ID}]",
)
@click.option("--batch-size", type=click.IntRange(1), default=25, show_default=True, help="Records of a transaction.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    metavar="SECONDS",
    help="How long a batch that is not full waits for more records.",
)
@click.option(
    "--grace-period",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it goes on with what it has once it is asked to end.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Transactions under way at the same time, of disjoint partitions.",
)
@click.option(
    "--transform",
    "expression",
    metavar="EXPRESSION",
    help="New value, of value, data (parsed JSON), key and headers; `drop` leaves the record out.",
)
@click.option("--dead-letter", metavar="TOPIC", help="For records that the transform or the target refuses.")
@click.option("--stop-on-empty", is_flag=True, help="End once everything that is there is relayed.")
@click.option("--isolation", metavar="LEVEL", help="read_committed, which exactly once takes.")
@pass_session
def stream(
    session: Session,
    /,
    source: str,
    target: str,
    *,
    group_id: str | None,
    transactional_id: str | None,
    batch_size: int,
    timeout: float,
    grace_period: float,
    max_in_flight: int,
    expression: str | None,
    dead_letter: str | None,
    stop_on_empty: bool,
    isolation: str | None,
) -> None:
    """Forward every record of SOURCE to TARGET, exactly once, whatever crashes in between.

    Key, value, headers, timestamp and the order within a partition are kept. What happens is told as JSON lines:
    relay_batch_committed, relay_batch_aborted, shutdown_requested, relay_stream_ended. A relay that was killed goes on
    when it is started again with the same transactional id; who reads TARGET takes read_committed.
    """
    if source in (target, dead_letter):
        raise click.UsageError(f"{source} is both source and target: it would be relayed for ever")
    transform = None if expression is None else _transform(expression)
    producing = _producer_config(session, transactional_id)
    consuming = _consumer_config(session, group_id, isolation, str(producing.transactional_id))

    from superclient.toolkit import ExactlyOnceRelay, KafkaConsumer, KafkaProducer, metrics
    from superclient.toolkit.records import topic_name

    topics = [topic_name(one) for one in (source, target, dead_letter) if one is not None]
    session.output.prepare()
    with (
        session.progress(None, f"{source} → {target}") as told,
        KafkaConsumer(consuming) as consumer,
        KafkaProducer(producing) as producer,
    ):
        _are_there(session, consumer, topics)
        relay = ExactlyOnceRelay(consumer, producer, transform, batch_size, dead_letter, _telling(session, told))
        with session.stopping(relay.stop) as stop:
            relay.run(source, target, max_in_flight, stop_on_empty, timeout, grace_period)
        if stop.requested:
            metrics.inc("consumer.shutdown.complete")


def _are_there(session: Session, consumer: KafkaConsumer, topics: list[str]) -> None:
    """Look before anything is told: who is refused, reaches nobody or misspells a topic gets one line at once."""
    from superclient.cli._quiet import quiet
    from superclient.cli._sending import ANSWER, partitions_of

    with quiet(session), session.stopping() as stop:
        for topic in topics:
            partitions_of(session, consumer.client, topic, ANSWER, stop, creation=0)


def _transform(expression: str) -> Transform:
    from superclient.cli._expression import ExpressionError, compiled
    from superclient.toolkit.forwarding import DROP

    try:
        return compiled(expression, DROP)
    except ExpressionError as error:
        raise click.UsageError(f"--transform: {error}") from error


def _producer_config(session: Session, transactional_id: str | None) -> ProducerConfig:
    if transactional_id is not None:
        return session.producer_config(transactional_id=transactional_id)
    config = session.producer_config()
    return config if config.transactional_id else replace(config, transactional_id=TRANSACTIONAL_ID)


def _consumer_config(
    session: Session, group_id: str | None, isolation: str | None, transactional_id: str
) -> ConsumerConfig:
    from superclient.cli._reading import configured

    config = configured(session, group_id, GROUP, isolation)
    if config.isolation_level != "read_committed":
        raise click.UsageError(f"--isolation is {config.isolation_level}: exactly once takes read_committed")
    more = dict(config.additional_config)
    # A member that keeps its name: a relay that was killed has its partitions back as soon as it is started again,
    # instead of waiting until the group gives up its predecessor. -X group.instance.id= goes without.
    if not more.setdefault("group.instance.id", transactional_id):
        del more["group.instance.id"]
    more.setdefault("queued.min.messages", _FETCHED_AHEAD)
    return replace(config, additional_config=more)


def _telling(session: Session, told: Callable[[int], None]) -> Callable[[str, dict[str, object]], None]:
    """Events as lines on stdout, from any thread; a person at a terminal has the progress in place of the batches."""
    from superclient.toolkit import metrics

    lock = threading.Lock()

    def tell(event: str, fields: dict[str, object]) -> None:
        if event == "shutdown_requested":
            metrics.inc("consumer.shutdown.signal")
        with lock:
            if event == "relay_batch_committed":
                told(int(str(fields["records"])))
                if not session.output.machine:
                    return
            session.output.event(event, **fields)

    return tell
