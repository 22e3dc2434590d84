"""`superclient init`: creates the two system topics, which agents never do, and prints the ACLs that agents need.

It can be run again at any time: a topic that exists is left as it is. The exit status is 0 where both topics are there
afterwards, 1 where they are not, 2 for wrong options.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping

from superclient import contract
from superclient.cli import _cluster, _connect, _topics
from superclient.errors import ClusterError
from superclient.kafka import face
from superclient.kafka.connection import Connection

_EPILOG = """\
examples:
  superclient init --bootstrap-servers kafka-1:9092
  superclient init --bootstrap-servers kafka-1:9092 --dry-run
  superclient init --bootstrap-servers kafka-1:9093 --replication-factor 3 --principal User:orders-service \\
      --sasl-username admin --sasl-password-file admin.secret --ssl-ca ca.pem

superstream.metadata_v1 is compacted: who publishes to it by other means must give the record a key.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--partitions", type=_positive, default=3, help="of superstream.clients (default: 3)")
    parser.add_argument("--retention-days", type=_positive, default=7, help="of the reports (default: 7)")
    parser.add_argument("--replication-factor", type=_positive, default=-1, help="default: the broker's own")
    parser.add_argument("--principal", default="User:YOUR_APP", help="as whom the programs come, for the ACLs")
    parser.add_argument("--dry-run", action="store_true", help="have the broker check, and create nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _connect.add_arguments(parser, required=True)


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number < 100_000:
        raise ValueError(text)
    return number


_positive.__name__ = "number"  # argparse says "invalid … value"


def run(args: argparse.Namespace) -> int:
    """Create what is missing, and say what was done."""
    try:
        settings = _connect.canonical(args)
        connection = _connect.connection(_connect.library(args), settings)
    except _connect.UsageError as error:
        args.usage_error(str(error))
        raise  # not reached: argparse ends the process
    except _connect.NoLibrary as error:
        return _failed(args, str(error))
    topics: dict[str, dict[str, object]] = {}
    for topic in _wanted(args):
        try:
            topics[topic.name] = _ensure(connection, topic, args.timeout, args.dry_run)
        except ClusterError as error:
            return _failed(args, _reason(error, topic.name, connection, settings, args.timeout))
    acls = _acls(args.principal, settings)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "topics": topics, "acls": acls}, indent=2))
    else:
        _print(topics, acls)
    return 0


def _wanted(args: argparse.Namespace) -> list[_topics.Topic]:
    retention = {"cleanup.policy": "delete", "retention.ms": str(args.retention_days * 86_400_000)}
    factor = args.replication_factor
    return [
        _topics.Topic(contract.METADATA_TOPIC, 1, factor, {"cleanup.policy": "compact"}),
        _topics.Topic(contract.CLIENTS_TOPIC, args.partitions, factor, retention),
    ]


def _ensure(connection: Connection, topic: _topics.Topic, timeout: float, dry_run: bool) -> dict[str, object]:
    """What became of a topic: its state, number of partitions and (where it is new) its configuration."""
    try:
        found = face(connection.library).describe_topic(connection, topic.name, timeout)
    except ClusterError as error:
        if not _cluster.about_topic(error):
            raise
        found = None  # no right to see it is not yet no right to create it
    if found is not None:
        return {"state": "exists", "partitions": found}
    if not _topics.create(connection, topic, timeout, validate_only=dry_run):
        return {"state": "exists", "partitions": None}
    state = "would be created" if dry_run else "created"
    return {"state": state, "partitions": topic.partitions, "configuration": dict(topic.configuration)}


def _reason(
    error: ClusterError, topic: str, connection: Connection, settings: Mapping[str, str], timeout: float
) -> str:
    if "authorization" in str(error).lower():
        return f"no right to create {topic} ({error}): it takes Create on the topic or on the cluster"
    if type(error) is ClusterError:  # the broker's own words
        return f"{topic} was not created: {error}"
    return _cluster.explain(error, connection, settings, timeout)


def _failed(args: argparse.Namespace, message: str) -> int:
    if args.json:
        print(json.dumps({"ok": False, "error": message}))
    print(f"superclient init: {message}", file=sys.stderr)
    return 1


def _acls(principal: str, settings: Mapping[str, str]) -> list[str]:
    """The commands that give the rights; Read and Write each bring Describe along."""
    start = f"kafka-acls --bootstrap-server {shlex.quote(settings['bootstrap.servers'])}"
    if settings["security.protocol"] != "PLAINTEXT":
        start += " --command-config admin.properties"
    start += f" --add --allow-principal {shlex.quote(principal)}"
    rights = (("Read", contract.METADATA_TOPIC), ("Write", contract.CLIENTS_TOPIC))
    return [f"{start} --operation {operation} --topic {topic}" for operation, topic in rights]


def _print(topics: Mapping[str, Mapping[str, object]], acls: list[str]) -> None:
    name_width, state_width = max(map(len, topics)), max(len(str(topic["state"])) for topic in topics.values())
    for name, topic in topics.items():
        shape = [f"{topic['partitions']} partition{'s' * (topic['partitions'] != 1)}"] if topic["partitions"] else []
        configuration = topic.get("configuration")
        if isinstance(configuration, Mapping):
            shape += [f"{key}={value}" for key, value in configuration.items()]
        print(f"{name:<{name_width}}  {topic['state']:<{state_width}}  {', '.join(shape)}".rstrip())
    print("\nWhere the cluster has ACLs, the principal of each program that has the agent needs:\n")
    for acl in acls:
        print(f"  {acl}")
