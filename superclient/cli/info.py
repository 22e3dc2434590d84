"""`superclient info`: versions, and the configuration that an environment resolves to."""

from __future__ import annotations

import importlib.metadata
import platform

import superclient
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
