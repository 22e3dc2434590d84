"""Sessions through kafka-python's network client (2.0 to 3.0), which connects and authenticates; nothing else of it.

The client looks brokers up in a table of its own, by node id. Here a node's id is its address, and whatever is looked
up is there: so the library never has a reason to ask for metadata by itself.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka import kafka_python as face
from superclient.kafka._bounded import Deadline, translate
from superclient.kafka.connection import Connection
from superclient.kafka.offsets.exchange import Answers, Ask, Conversation
from superclient.kafka.offsets.lasting import addresses, lasting, lent_provider
from superclient.kafka.offsets.protocol import Address
from superclient.kafka.offsets.reader import Reader
from superclient.kafka.silence import quiet


def offsets_reader(connection: Connection) -> Reader:
    """See OffsetsReader."""
    return Reader(lambda deadline: Conversation(addresses(connection), _Transport(connection, deadline)))


class _Node(NamedTuple):
    node_id: Address
    host: str
    port: int
    rack: str | None = None


class _Transport:
    """See exchange.Transport."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self._opened: list[Callable[[], None]] = []  # how to close what is open
        try:
            self._client = _client(connection, deadline, self._opened)
        except BaseException:
            self.close()
            raise

    def send(self, asks: Sequence[Ask], seconds: float) -> Answers:
        """See exchange.Transport."""
        end = time.monotonic() + seconds
        calls = [_Call(self._client, ask) for ask in asks]
        answers: list[Any] = [None] * len(calls)
        while True:
            answers = [call.answer() if answer is None else answer for call, answer in zip(calls, answers, strict=True)]
            left = end - time.monotonic()
            if None not in answers or left <= 0:
                return [Unreachable("no answer in time") if answer is None else answer for answer in answers]
            self._client.poll(timeout_ms=max(1, int(left * 1000)))

    def close(self) -> None:
        """See exchange.Transport."""
        for close in reversed(self._opened):
            with suppress(Exception):
                close()


class _Call:
    """One request on its way: first its connection, then its answer."""

    def __init__(self, client: Any, ask: Ask) -> None:
        self._client, (self._address, self._question) = client, ask
        self._connection: Any = None
        self._future: Any = None

    def answer(self) -> Any:
        """What came, or a ClusterError in its place; None as long as that is open."""
        if self._future is None:
            try:
                self._future = self._sent()
            except Exception as error:
                return translate(error)
        if self._future is None or not self._future.is_done:
            return None
        if self._future.succeeded():
            return self._question.result(self._future.value)
        return self._why(self._future.exception)

    def _why(self, error: BaseException) -> ClusterError:
        """A broker that does not let us in often just hangs up: see face._giving_up and face._note_failure."""
        denied = getattr(self._connection or self._client, "denied", False)
        return NotAuthorized("authentication failed") if denied else translate(error)

    def _sent(self) -> Any:
        if hasattr(self._client, "_manager"):  # 3.x: a request waits for its connection by itself
            self._connection = self._client._manager.get_connection(self._address)
            return self._connection.send_request(self._question.request())
        if self._client.ready(self._address, metadata_priority=False):
            return self._client.send(self._address, self._question.request())
        if self._client.is_disconnected(self._address) and self._client.connection_delay(self._address) > 0:
            raise self._why(Unreachable("the connection failed"))
        return None


def _client(connection: Connection, deadline: Deadline, opened: list[Callable[[], None]]) -> Any:
    kind = _network_client_class()
    quiet("kafka")  # by now its loggers exist
    settings = {**lasting(connection), **face._common(deadline)}
    settings |= {"receive_message_max_bytes": 256 * 1024 * 1024, "max_in_flight_requests_per_connection": 1000}
    if settings.get("sasl_oauth_token_provider") is not None:
        settings["sasl_oauth_token_provider"] = lent_provider(_provider_class(), connection)
    if hasattr(kind, "DEFAULT_CONFIG") and settings.get("api_version") is None:
        settings["api_version"] = (1, 0)  # 2.x: else it connects to ask; our requests are those of brokers since then
    client = face._network_client(kind, opened, **settings)
    client.cluster.broker_metadata = lambda address: _Node(address, *address)
    client._maybe_refresh_metadata = lambda *args, **kwargs: float("inf")  # 2.x: milliseconds until the next
    return client


def _network_client_class() -> Any:
    try:
        from kafka.net.compat import KafkaNetClient
    except ImportError:
        from kafka.client_async import KafkaClient

        return KafkaClient
    return KafkaNetClient


def _provider_class() -> Any:
    for module in ("kafka.net.sasl.oauth", "kafka.sasl.oauth", "kafka.oauth.abstract"):
        with suppress(ImportError):
            return importlib.import_module(module).AbstractTokenProvider
    return object
