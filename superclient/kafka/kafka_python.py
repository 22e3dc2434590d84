"""Small reads and writes through kafka-python (2.0 to 3.0).

Public classes do the work, with a few exceptions that are named where they are: what keeps a metadata request from
creating a topic, and what makes a refused connection known at once, cannot be said otherwise in every version.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any, NoReturn

from superclient.errors import NotAuthorized, TopicMissing, Unreachable
from superclient.kafka._bounded import Deadline, bounded, translate
from superclient.kafka.connection import Connection, Found, LastRecord, OffsetsReader
from superclient.kafka.internal import CLIENT_ID_PREFIX
from superclient.kafka.pristine import pristine
from superclient.kafka.silence import quiet

_CLIENT_ID = CLIENT_ID_PREFIX + "kafka-python"
_SLICE_MS = 20  # one wait for records: control batches bring none but move the position, and nothing else tells
_CLOSING: Mapping[str, Mapping[str, object]] = {
    "KafkaConsumer": {"autocommit": False},
    "KafkaProducer": {"timeout": 0.2},
}
_REFUSED = "no broker accepted the connection"


def describe_topic(connection: Connection, topic: str, timeout: float) -> int | None:
    """Number of partitions, or None where the topic does not exist."""
    return bounded(timeout, lambda deadline: _describe(connection, topic, deadline))


def last_record(connection: Connection, topic: str, timeout: float) -> LastRecord:
    """The last record of partition 0; 2.0.x cannot tell aborted transactions and may bring one of theirs."""
    return bounded(timeout, lambda deadline: _last_record(connection, topic, deadline))


def send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], timeout: float) -> int:
    """Number of acknowledged records; raises where there are some and none was acknowledged."""
    return bounded(timeout, lambda deadline: _send(connection, topic, records, deadline))


def offsets_reader(connection: Connection) -> OffsetsReader:
    """What reads offsets again and again; connects when it is first asked to."""
    from superclient.kafka.offsets import kafka_python

    return kafka_python.offsets_reader(connection)


def _describe(connection: Connection, topic: str, deadline: Deadline) -> int | None:
    with _reader(connection, deadline) as consumer:
        return _partitions(consumer, topic, deadline)


def _last_record(connection: Connection, topic: str, deadline: Deadline) -> LastRecord:
    from kafka import TopicPartition

    with _reader(connection, deadline) as consumer:
        if not _partitions(consumer, topic, deadline):
            return LastRecord(Found.NO_TOPIC)
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        start, upper, step = 0, end, 1
        while upper > start:
            lower = max(start, upper - step)
            newest = _newest(consumer, partition, lower, upper, deadline)
            if newest is not None:
                return newest
            if upper == end:
                start = consumer.beginning_offsets([partition])[partition]
            upper, step = lower, step * 8
        return LastRecord(Found.EMPTY)


def _newest(consumer: Any, partition: Any, lower: int, upper: int, deadline: Deadline) -> LastRecord | None:
    """The last record from `lower` on, once everything below `upper` is read; None where no record is there."""
    newest: LastRecord | None = None
    consumer.seek(partition, lower)
    while consumer.position(partition) < upper:
        for records in consumer.poll(timeout_ms=min(_SLICE_MS, deadline.left_ms())).values():
            newest = LastRecord(Found.RECORD, records[-1].value)
    return newest


def _partitions(consumer: Any, topic: str, deadline: Deadline) -> int | None:
    """Ask for the topic by name where that cannot create it; up to 2.0.x only the list of all topics is harmless."""
    from kafka import TopicPartition

    client = consumer._client
    if "allow_auto_create_topics" in type(consumer).DEFAULT_CONFIG:
        consumer.assign([TopicPartition(topic, 0)])
    if hasattr(consumer, "bootstrap"):  # 3.x: does nothing when done, and is where a failure shows
        consumer.bootstrap(timeout_ms=deadline.left_ms())
    try:
        _wait(consumer, client.cluster.request_update(), deadline)
    except TopicMissing:
        return None
    return len(client.cluster.partitions_for_topic(topic) or ()) or None


def _wait(consumer: Any, future: Any, deadline: Deadline) -> None:
    while not future.is_done:
        consumer._client.poll(timeout_ms=deadline.left_ms())
    if future.failed():
        raise translate(future.exception)


def _send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], deadline: Deadline) -> int:
    # A producer waits out its whole deadline for a topic or broker that is not there; a look beforehand does not.
    if _describe(connection, topic, deadline) is None:
        raise TopicMissing(f"there is no topic {topic}")
    acknowledged, failure = 0, None
    with _writer(connection, deadline) as producer:
        sender = producer._sender
        sender.add_topic(topic)
        producer._metadata.request_update()
        while producer._metadata.partitions_for_topic(topic) is None:
            deadline.left_ms()
            sender.run_once()
        futures = [producer.send(topic, key=key, value=value) for key, value in records]
        while not all(future.is_done for future in futures):
            deadline.left_ms()
            sender.run_once()
        for future in futures:
            if future.succeeded():
                acknowledged += 1
            else:
                failure = translate(future.exception)
    if failure is not None and not acknowledged:
        raise failure
    return acknowledged


@contextmanager
def _reader(connection: Connection, deadline: Deadline) -> Iterator[Any]:
    from kafka import KafkaConsumer

    own = {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 1,
        "max_partition_fetch_bytes": 8 * 1024 * 1024,
    }
    with _opened(pristine(KafkaConsumer), connection, own, deadline) as consumer:
        yield consumer


@contextmanager
def _writer(connection: Connection, deadline: Deadline) -> Iterator[Any]:
    own = {
        "acks": 1,
        "enable_idempotence": False,
        "allow_auto_create_topics": False,
        "linger_ms": 0,
        "max_block_ms": deadline.left_ms(),
        "delivery_timeout_ms": deadline.left_ms() + 2,
        "max_request_size": 8 * 1024 * 1024,
    }
    with _opened(_producer_class(), connection, own, deadline) as producer:
        yield producer


@contextmanager
def _opened(kind: Any, connection: Connection, own: Mapping[str, object], deadline: Deadline) -> Iterator[Any]:
    """A client of ours, closed whatever happens, also where its constructor raises halfway."""
    quiet("kafka")
    known = kind.DEFAULT_CONFIG
    settings = {**connection.settings, **_common(deadline), **own}
    opened: list[Callable[[], None]] = []  # how to close what is open, in the order of opening
    if "kafka_client" in known:
        settings["kafka_client"] = partial(_network_client, known["kafka_client"], opened)
    if "allow_auto_create_topics" not in known and settings.get("api_version") is None:
        # 2.0 guesses the version with requests that the broker is meant to choke on, and takes 100 ms to. These are
        # the requests of brokers since 2017, which the newest ones still speak.
        settings["api_version"] = (1, 0, 0)
    try:
        client = kind(**{name: value for name, value in settings.items() if name in known})
        opened.append(partial(client.close, **_CLOSING[kind.__name__]))
        yield client
    finally:
        for close in reversed(opened):
            with suppress(Exception):
                close()


def _common(deadline: Deadline) -> dict[str, object]:
    left = deadline.left_ms()
    return {
        "client_id": _CLIENT_ID,
        "request_timeout_ms": max(2, left),  # has to be more than the fetch wait
        "connections_max_idle_ms": left + 60_000,
        "api_version_auto_timeout_ms": left,
        "bootstrap_timeout_ms": left,
        # Each broker is tried once: a second try belongs to the next call.
        "reconnect_backoff_ms": left + 1000,
        "reconnect_backoff_max_ms": left + 1000,
        "retry_backoff_ms": 10,
        "metrics_enabled": False,
    }


def _network_client(library_class: Any, opened: list[Callable[[], None]], **settings: Any) -> Any:
    """The library's own network client, but one that gives up once every broker has refused, and creates no topic."""
    kind = _giving_up(library_class)
    client = kind.__new__(kind)
    sockets: set[Any] = set()
    opened.append(partial(_close_network, client, sockets))
    client.__init__(**settings)
    # 3.0 has these settings but does not hand them on.
    client.cluster.config["allow_auto_create_topics"] = False
    client.cluster.config["retry_backoff_ms"] = settings["retry_backoff_ms"]
    if hasattr(client, "_manager"):
        _adapt_to_3(client._manager, client._net, sockets)
    return client


def _adapt_to_3(manager: Any, network: Any, sockets: set[Any]) -> None:
    """What 3.x needs beyond that: to end when every broker has failed, and not to lose what failed to connect."""
    # It picks a broker by chance, and where that one has just failed it sits out its back-off before it picks again.
    network.start = lambda: None  # without a thread of its own the loop is driven by whoever waits
    manager.config.update(reconnect_backoff_ms=20, reconnect_backoff_max_ms=100)
    manager.get_connection = partial(_connection_or_give_up, manager, manager.get_connection, [])
    for wait in ("wait_read", "wait_write"):
        setattr(network, wait, partial(_noting, sockets, getattr(network, wait)))


def _noting(sockets: set[Any], wait: Callable[..., Any], socket: Any, *args: Any, **kwargs: Any) -> Any:
    sockets.add(socket)
    return wait(socket, *args, **kwargs)


def _close_network(client: Any, sockets: Collection[Any]) -> None:
    with suppress(Exception):
        client.close()
    for each in sockets:
        with suppress(OSError):
            each.close()


@cache
def _giving_up(library_class: Any) -> Any:
    def connection_state_change(self: Any, node_id: object, sock: object, conn: Any) -> None:
        # By the time that a connection is closed it has forgotten why: what it was doing before tells.
        if conn.disconnected() and self.__dict__.get("authenticating"):
            self.denied = True
        self.authenticating = "authenticating" in str(conn.state)
        library_class._conn_state_change(self, node_id, sock, conn)

    def least_loaded_node_refresh_ms(self: Any) -> NoReturn:
        # 2.x asks for the wait until a node may be tried again when none is left to try.
        raise NotAuthorized("authentication failed") if self.__dict__.get("denied") else Unreachable(_REFUSED)

    own: dict[str, Any] = {"least_loaded_node_refresh_ms": least_loaded_node_refresh_ms}
    if hasattr(library_class, "_conn_state_change"):
        own["_conn_state_change"] = connection_state_change
    return type(library_class.__name__, (library_class,), own)


def _connection_or_give_up(
    manager: Any, get_connection: Callable[..., Any], failures: list[Exception], *args: Any, **kwargs: Any
) -> Any:
    """3.x tries until its deadline and keeps the reasons for its log: this ends when every broker has failed."""
    from kafka.errors import NodeNotReadyError

    try:
        connection = get_connection(*args, **kwargs)
    except NodeNotReadyError:
        nodes = manager.cluster.brokers() or manager.cluster.bootstrap_brokers()
        if any(node.node_id not in manager._backoff for node in nodes):
            raise
        denied = next((each for each in map(translate, failures) if isinstance(each, NotAuthorized)), None)
        raise denied or Unreachable(_REFUSED) from None
    if not hasattr(connection, "denied"):
        _note_failure(connection, failures)
    return connection


def _note_failure(connection: Any, failures: list[Exception]) -> None:
    # The broker's refusal and its hanging up often arrive together, and then 3.x sees the hanging up alone.
    authenticate = connection._sasl_authenticate
    connection.denied = False

    async def noted(*args: Any, **kwargs: Any) -> None:
        connection.denied = True
        await authenticate(*args, **kwargs)
        connection.denied = False

    connection._sasl_authenticate = noted
    connection.init_future.add_errback(
        lambda error: failures.append(NotAuthorized("authentication failed") if connection.denied else error)
    )


@cache
def _producer_class() -> Any:
    """A producer whose sender starts no thread and whose finalizer does nothing.

    Whoever sends drives the sender, so that a last report goes out of an interpreter that is ending, which starts no
    thread from 3.12 on. The library's own finalizer silences `kafka.producer` for the whole process.
    """
    from kafka import KafkaProducer

    def adopt(self: Any, sender: Any) -> None:
        sender.start = lambda: None
        sender.join = lambda timeout=None: None
        self.__dict__["_sender"] = sender

    own = {"__del__": lambda self: None, "_sender": property(lambda self: self.__dict__["_sender"], adopt)}
    return type("KafkaProducer", (pristine(KafkaProducer),), own)
