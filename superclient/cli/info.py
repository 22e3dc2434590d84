"""`superclient info`: versions, and the configuration that an environment resolves to."""

from __future__ import annotations

import importlib.metadata
import platform

import click

import superclient
from superclient import redact
from superclient.cli._session import Session, pass_session
from superclient.cli.app import Group

PACKAGES = ("confluent-kafka", "kafka-python", "aiokafka", "wrapt", "click", "rich", "simpleeval", "prometheus-client")

group = Group("info", examples=["superclient info version", "superclient info config-dump --env dev"])


@group.command("version", examples=["superclient info version", "superclient info version --compact-json"])
@pass_session
def version(session: Session) -> None:
    """Show the versions of superclient, Python, the Kafka libraries and librdkafka."""
    found = {
        "superclient": superclient.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "librdkafka": _librdkafka(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    session.output.document(found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _librdkafka() -> str | None:
    try:
        import confluent_kafka
    except ImportError:
        return None
    return str(confluent_kafka.libversion()[0])


@group.command(
    "config-dump",
    examples=[
        "superclient info config-dump --env dev",
        "superclient info config-dump -e prod -C ./kafka.json --filter sasl",
        "superclient --show-config -e dev        # what each role makes of it, defaults included",
    ],
)
@pass_session
def config_dump(session: Session) -> None:
    """Show what an environment of the configuration file resolves to, secrets masked.

    It is `default` overlaid by the environment, the sections producer, consumer and admin merged key by key; without
    --env it is `default`, or the whole file where it has none. An environment that the file lacks is {}, and a warning.
    """
    from superclient.toolkit import files

    env: str | None = session.options.get("env")
    settings = files.resolve_env_config(env, session.options.get("config_file"))
    if session.watched or session.verbose:
        where = session.config_file or f"{files.DEFAULT_PATH}, which is not there"
        click.echo(f"{session.path}: from {where}" + (f", environment {env}" if env else ""), err=True)
    session.output.document(redact.masked_tree(settings))
