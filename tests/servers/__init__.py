"""The servers of the tests (TST-1): each once per session, free ports, own process group, ready when it answers.

`kafka.py` and `secure.py` are the brokers, `topics.py` what tests ask of them, `fixtures.py` their pytest fixtures;
`redis.py` has Redis with its fixtures; `gofka` is a double of the Gofka broker.
Faults between a program and a server are in `tests/faults.py`.
"""

from tests.servers.kafka import Broker
from tests.servers.log_segments import Batch, LogSummary
from tests.servers.process import ServerError
from tests.servers.secure import SecureBroker
from tests.servers.topics import METADATA_TOPIC, REPORTS_TOPIC, Record, wait_for

__all__ = [
    "METADATA_TOPIC",
    "REPORTS_TOPIC",
    "Batch",
    "Broker",
    "LogSummary",
    "Record",
    "SecureBroker",
    "ServerError",
    "wait_for",
]
