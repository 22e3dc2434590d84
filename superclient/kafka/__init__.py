"""The three Kafka client libraries behind one small face: names, security settings, and small reads and writes.

Lives here: `vocabulary` (canonical names and each library's own), `security` (what it takes to connect), `internal`
(the marks of our own clients), `connection` (the values), and one module per library with the same functions. Not
here: anything that patches or watches a program's own clients (`superclient.agent`), and any decision about
configuration.
"""

from types import ModuleType

LIBRARIES = ("kafka-python", "aiokafka", "confluent-kafka")


def face(library: str) -> ModuleType:
    """The module with this library's small reads and writes, imported when it is first asked for."""
    import importlib

    names = {"kafka-python": "kafka_python", "aiokafka": "aiokafka", "confluent-kafka": "confluent"}
    return importlib.import_module(f"{__name__}.{names[library]}")
