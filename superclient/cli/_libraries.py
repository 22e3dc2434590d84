"""The Kafka client libraries as the commands see them: what is installed, and the pip line for what is not."""

import importlib.util
from typing import NamedTuple


class Library(NamedTuple):
    """A row of the table: the library's name, its package, the module that the agent hooks, and our extra for it."""

    name: str
    package: str
    hooked: str
    extra: str


# In the order in which a command that needs any of them takes the first that is there.
LIBRARIES = (
    Library("confluent-kafka", "confluent_kafka", "confluent_kafka.cimpl", "confluent"),
    Library("kafka-python", "kafka", "kafka.producer.kafka", "kafka-python"),
    Library("aiokafka", "aiokafka", "aiokafka.producer.producer", "aiokafka"),
)
NAMES = tuple(library.name for library in LIBRARIES)


def installed() -> list[str]:
    """The names of the libraries that this Python has, in the table's order; none of them is imported."""
    return [library.name for library in LIBRARIES if importlib.util.find_spec(library.package) is not None]


def pip_line(name: str) -> str:
    """The command that installs a library with the version bound that the agent asks for."""
    extra = next(library.extra for library in LIBRARIES if library.name == name)
    return f"pip install 'superclient[{extra}]'"


def codec_package(library: str, version: str, codec: str) -> str:
    """The package that a library loads for a codec it lacks; "" where its own wheel should have had it."""
    if library == "kafka-python":
        return {"snappy": "python-snappy", "lz4": "lz4", "zstd": "zstandard"}.get(codec, "")
    if library == "aiokafka":
        return "lz4" if codec == "lz4" and version.startswith("0.10.") else "cramjam"
    return ""
