"""`superclient admin`: topics and the cluster. A table for a person, JSON for everybody else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from superclient.cli._session import Session, pass_session
from superclient.cli.app import Group

if TYPE_CHECKING:
    from rich.console import RenderableType

    from superclient.toolkit.admin import KafkaAdmin
    from superclient.toolkit.describing import ClusterMetadata, TopicDescription

group = Group(
    "admin",
    examples=[
        "superclient admin list-topics -b localhost:9092",
        "superclient admin create-topic orders -p 6 -r 3 -c retention.ms=86400000 -e prod",
        "superclient admin describe-topic orders --json | jq .config",
    ],
)

_timeout = click.option(
    "--timeout",
    type=click.FloatRange(0, 600, min_open=True),
    metavar="SECONDS",
    help="give up after this long (default: 10, or request_timeout_ms of the configuration)",
)
_names = click.argument("topics", metavar="TOPIC...", nargs=-1, required=True)


@contextlib.contextmanager
def _client(session: Session, timeout: float | None) -> Iterator[KafkaAdmin]:
    config = session.admin_config(**({} if timeout is None else {"request_timeout_ms": max(1, round(timeout * 1000))}))
    session.output.prepare()  # nothing is done whose answer nobody would see
    from superclient.toolkit.admin import KafkaAdmin

    with KafkaAdmin(config) as admin:
        yield admin


@group.command(
    "list-topics",
    examples=[
        "superclient admin list-topics -b localhost:9092",
        "superclient admin list-topics -e prod --filter '^orders' | jq -r '.[]'",
        "superclient admin list-topics -e prod --details",
    ],
)
@click.option("--internal", is_flag=True, help="Kafka's own topics as well")
@click.option("--details", is_flag=True, help="with partitions, replicas and configuration")
@_timeout
@pass_session
def list_topics(session: Session, internal: bool, details: bool, timeout: float | None) -> None:
    """List the topics that one may see, sorted by name."""
    with _client(session, timeout) as admin:
        names = admin.list_topics(internal=internal)
        found = admin.describe_topics(names) if details and names else []
    if details:
        session.output.document([one.to_dict() for one in found], lambda: _overview(found))
    else:
        session.output.document(names, lambda: "\n".join(names))


@group.command(
    "describe-topic",
    examples=[
        "superclient admin describe-topic orders -b localhost:9092",
        "superclient admin describe-topic orders payments -e prod --json --filter leader:2",
    ],
)
@_names
@_timeout
@pass_session
def describe_topic(session: Session, topics: tuple[str, ...], timeout: float | None) -> None:
    """Show a topic: partitions, leaders, replicas, own settings."""
    with _client(session, timeout) as admin:
        found = admin.describe_topics(list(topics))
    documents = [one.to_dict() for one in found]
    session.output.document(documents[0] if len(found) == 1 else documents, lambda: _descriptions(found))


def _pair(context: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if not all(sign and name.strip() for name, sign, _ in pairs):
        raise click.BadParameter("it takes NAME=VALUE")
    return {name.strip(): text for name, _, text in pairs}


@group.command(
    "create-topic",
    examples=[
        "superclient admin create-topic orders -p 6 -b localhost:9092",
        "superclient admin create-topic orders -p 6 -r 3 -c cleanup.policy=compact -c min.insync.replicas=2",
    ],
)
@_names
@click.option("-p", "--partitions", type=click.IntRange(1), metavar="N", help="partitions (default: the brokers')")
@click.option(
    "-r", "--replication-factor", type=click.IntRange(1), metavar="N", help="replicas (default: the brokers')"
)
@click.option(
    "-c",
    "--config",
    multiple=True,
    callback=_pair,
    metavar="NAME=VALUE",
    help="a setting of the topic; as often as needed",
)
@click.option("--if-not-exists", is_flag=True, help="a topic that is there already is no error; it stays as it is")
@_timeout
@pass_session
def create_topic(
    session: Session,
    topics: tuple[str, ...],
    partitions: int | None,
    replication_factor: int | None,
    config: dict[str, str],
    if_not_exists: bool,
    timeout: float | None,
) -> None:
    """Create topics; when it ends, the brokers know them."""
    wanted = list(dict.fromkeys(topics))
    with _client(session, timeout) as admin:
        if if_not_exists:
            wanted = [name for name in wanted if not admin.topic_exists(name)]
        described: list[dict[str, Any]] = [
            {
                "topic": name,
                "num_partitions": partitions,
                "replication_factor": replication_factor,
                "config": config,
            }
            for name in wanted
        ]
        created = admin.create_topics(described) if described else []
    session.output.document({"created": created}, _said("created", created))


@group.command(
    "delete-topic",
    examples=[
        "superclient admin delete-topic orders -b localhost:9092",
        "superclient admin delete-topic old-orders older-orders -e dev --yes --if-exists",
    ],
)
@_names
@click.option("-y", "--yes", is_flag=True, help="do not ask; where stdin is no terminal nobody is asked anyway")
@click.option("--if-exists", is_flag=True, help="a topic that is not there is no error")
@_timeout
@pass_session
def delete_topic(session: Session, topics: tuple[str, ...], yes: bool, if_exists: bool, timeout: float | None) -> None:
    """Delete topics with all their records. There is no way back, so a person is asked first."""
    wanted = list(dict.fromkeys(topics))
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        servers = session.admin_config().bootstrap_servers
        if not click.confirm(f"Delete {', '.join(wanted)} with all records on {servers}?", err=True):
            raise click.ClickException("nothing deleted")
    with _client(session, timeout) as admin:
        if if_exists:
            wanted = [name for name in wanted if admin.topic_exists(name)]
        deleted = admin.delete_topics(wanted) if wanted else []
    session.output.document({"deleted": deleted}, _said("deleted", deleted))


@group.command(
    "cluster-metadata",
    examples=[
        "superclient admin cluster-metadata -b localhost:9092",
        "superclient admin cluster-metadata -e prod --json | jq -r '.brokers[].host'",
    ],
)
@_timeout
@pass_session
def cluster_metadata(session: Session, timeout: float | None) -> None:
    """Show the cluster: id, controller, brokers, number of topics."""
    with _client(session, timeout) as admin:
        found = admin.cluster_metadata()
    session.output.document(found.to_dict(), lambda: _brokers(found))


# --- for people -------------------------------------------------------------------------------------------------------


def _said(what: str, topics: list[str]) -> Callable[[], RenderableType]:
    return lambda: "\n".join(f"{what} {name}" for name in topics) or f"nothing {what}"


def _table(title: str | None, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="cyan")
    for column in columns:
        table.add_column(column, justify="left" if column in ("topic", "set", "host") else "right", overflow="fold")
    return table


def _overview(topics: list[TopicDescription]) -> RenderableType:
    table = _table(None, "topic", "partitions", "replicas", "set")
    for topic in topics:
        replicas = max((len(one.replicas) for one in topic.partitions), default=0)
        table.add_row(topic.topic, str(len(topic.partitions)), str(replicas), _settings(topic))
    return table  # type: ignore[no-any-return]


def _descriptions(topics: list[TopicDescription]) -> RenderableType:
    from rich.console import Group as Stack

    tables = []
    for topic in topics:
        title = f"{topic.topic}: {len(topic.partitions)} partition{'s' * (len(topic.partitions) != 1)}"
        table = _table(title, "partition", "leader", "replicas", "in sync")
        table.caption, table.caption_justify = _settings(topic) or None, "left"
        for one in topic.partitions:
            leader = "none" if one.leader is None else str(one.leader)
            style = "" if one.leader is not None and len(one.in_sync) == len(one.replicas) else "red"
            table.add_row(str(one.partition), leader, _ids(one.replicas), _ids(one.in_sync), style=style)
        tables.append(table)
    return Stack(*tables)


def _brokers(cluster: ClusterMetadata) -> RenderableType:
    table = _table(f"cluster {cluster.cluster_id}: {cluster.topics:,} topics", "broker", "host", "port", "rack", "")
    for one in cluster.brokers:
        controls = "controller" if one.id == cluster.controller else ""
        table.add_row(str(one.id), one.host, str(one.port), one.rack or "", controls)
    return table  # type: ignore[no-any-return]


def _settings(topic: TopicDescription) -> str:
    if topic.config is None:
        return "no right to see its configuration"
    return ", ".join(f"{name}={value}" for name, value in topic.config.items())


def _ids(brokers: list[int]) -> str:
    return ", ".join(map(str, brokers))
