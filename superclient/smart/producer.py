"""SmartProducer: confluent-kafka's Producer, whose records go where the consumers keep up.

It is a subclass, and everything but `produce` is the library's own. What is chosen, and by what, is in `choice` and
`keys`; a monitor reads the consumer group's lag beside it, on its own thread. `produce` never waits for either.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from confluent_kafka import KafkaError, KafkaException, Producer

from superclient.kafka.security import connection
from superclient.partitioning import UNPLACED
from superclient.smart.cache.base import Cache
from superclient.smart.cache.factory import CacheFactory
from superclient.smart.choice import Choice, partitioner
from superclient.smart.config import SmartProducerConfig
from superclient.smart.feeds import Feed
from superclient.smart.keys import DEFAULT_PARTITIONER, Keys
from superclient.smart.monitor import PartitionHealthMonitor

_UNKNOWN_PARTITION = KafkaError._UNKNOWN_PARTITION


class SmartProducer(Producer):
    """A `confluent_kafka.Producer` that keeps to partitions which a consumer group keeps up with.

        config = SmartProducerConfig({"bootstrap.servers": "localhost:9092"}, ["orders"], consumer_group="billing")
        with SmartProducer(config) as producer:
            producer.produce("orders", b"an order")

    A record with a partition goes there; one without a key to a healthy partition, the same for a whole batch; one with
    a key where its key has been, see `SmartProducerConfig.key_stickiness`. Where nothing is known, or nothing is
    healthy, librdkafka's own partitioner chooses. Without a consumer group (and no monitor), or with
    `smart_enabled=False`, it always does.

    `with`, or `close`, flushes and ends the monitor; a monitor or a cache that was passed in is its owner's to end.
    """

    # Slots: an instance's dict would cost each `produce` another look-up. What the agent put in the place of the
    # library's class has room for weak references already.
    __slots__ = (
        "_choice",
        "_helpers",
        "_keys",
        "_known",
        "_spread",
        "_turns",
        *(("__weakref__",) if not Producer.__weakrefoffset__ else ()),
    )

    def __init__(
        self,
        config: SmartProducerConfig | Mapping[str, Any],
        *,
        health_manager: Any = None,
        cache: Cache | None = None,
    ) -> None:
        """`config` may be what `SmartProducerConfig.from_dict` takes. `health_manager` is a monitor to go by, in place
        of one of our own; it is neither started nor stopped. `cache` remembers keys' partitions for other processes.

        Raises:
            ConfigurationError: a setting of ours that cannot be meant.
            KafkaException: a setting that librdkafka refuses.
            ImportError: Redis is enabled, and redis-py is not installed.
        """
        if not isinstance(config, SmartProducerConfig):
            config = SmartProducerConfig.from_dict(config)
        super().__init__(config.kafka_config)
        # What `produce` looks at for each record is one step away.
        self._choice: Any = None
        self._turns: Any = {}
        self._keys: Any = None
        self._known: Any = None
        self._spread = config.key_stickiness is False
        self._helpers: _Helpers | None = None
        if config.smart_enabled and (health_manager is not None or config.consumer_group is not None):
            helpers = self._helpers = _Helpers(config, health_manager, cache)
            self._choice, self._turns, self._keys = helpers.choice, helpers.choice.turns, helpers.keys
            self._known = None if helpers.keys is None else helpers.keys.known
        elif type(self) is SmartProducer:
            # As it is now: the agent, where there is one, may have put something in its place since this was imported.
            for name in ("produce", "produce_batch"):
                if hasattr(Producer, name):
                    setattr(_Plain, name, getattr(Producer, name))
            self.__class__ = _Plain

    def produce(  # noqa: PLR0912 - each call that it does without is a tenth of what it may take
        self,
        topic: str,
        value: str | bytes | None = None,
        key: str | bytes | None = None,
        partition: int = -1,
        callback: Callable[..., Any] | None = None,
        on_delivery: Callable[..., Any] | None = None,
        timestamp: int = 0,
        headers: Any = None,
    ) -> None:
        """As `confluent_kafka.Producer.produce`, and at most twice as long on the way; see there for what it raises."""
        if partition == -1:
            try:
                if key is None:
                    turn = self._turns[topic]
                    if turn.unseen > 0:
                        turn.unseen -= 1
                    else:
                        turn = self._choice.look(topic, value)
                    chosen = turn.partition
                elif self._known is None:
                    chosen = self._placed(topic, value, key)
                else:
                    place = self._known[topic][key if type(key) is bytes else key.encode()]  # type: ignore[union-attr]
                    if place.unseen > 0:
                        place.unseen -= 1
                        chosen = place.partition
                    else:
                        chosen = self._keys.place(topic, key)
            except Exception:  # the first record of a topic, or of a key; or what the library will refuse
                chosen = self._placed(topic, value, key)
            if chosen >= 0:
                try:
                    if callback is None and on_delivery is None and headers is None and timestamp == 0:
                        Producer.produce(self, topic, value, key, chosen)
                    else:
                        # One name for the callback: where both are given, the library takes the first, be it None.
                        callback = on_delivery if callback is None else callback
                        Producer.produce(self, topic, value, key, chosen, callback, None, timestamp, headers)
                    return
                except KafkaException as error:
                    if error.args[0].code() != _UNKNOWN_PARTITION:
                        raise
                self._missing(topic, key)
        if partition == -1 and callback is None and on_delivery is None and headers is None and timestamp == 0:
            Producer.produce(self, topic, value, key)
            return
        callback = on_delivery if callback is None else callback
        Producer.produce(self, topic, value, key, partition, callback, None, timestamp, headers)

    def _placed(self, topic: Any, value: Any, key: Any) -> int:
        """The same at length; UNPLACED for what is no record, of which the library says what is wrong with it."""
        try:
            if self._choice is None:
                return UNPLACED
            if key is None or self._spread:
                return int(self._choice.place(topic, value))
            return UNPLACED if self._keys is None else int(self._keys.place(topic, key))
        except Exception:
            return UNPLACED

    def _missing(self, topic: str, key: Any) -> None:
        """The partition that was chosen does not exist: the topic was made anew with fewer."""
        self._choice.turns.pop(topic, None)
        if self._keys is not None and key is not None:
            self._keys.missing(topic, key)

    if hasattr(Producer, "produce_batch"):

        def produce_batch(self, topic: str, messages: Any, partition: int = -1, *args: Any, **kwargs: Any) -> Any:
            """As `confluent_kafka.Producer.produce_batch`, once for each partition that was chosen for some of them."""
            if self._choice is None or partition != -1 or not isinstance(messages, list):
                return Producer.produce_batch(self, topic, messages, partition, *args, **kwargs)
            chosen: dict[int, list[Any]] = {UNPLACED: []}  # the first, because it has those that are no messages
            for each in messages:
                place = UNPLACED
                if isinstance(each, dict) and "partition" not in each:
                    place = self._placed(topic, each.get("value"), each.get("key"))
                chosen.setdefault(place, []).append(each)
            return sum([Producer.produce_batch(self, topic, some, at, *args, **kwargs) for at, some in chosen.items()])

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Flush, close, and end the monitor. Before confluent-kafka 2.13, which has no `close`, it only flushes."""
        try:
            return super().close(*args, **kwargs) if hasattr(Producer, "close") else self.flush()
        finally:
            if self._helpers is not None:
                self._helpers.end()

    def __enter__(self) -> Any:
        if hasattr(Producer, "__enter__"):
            super().__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        try:
            if hasattr(Producer, "__exit__"):
                return super().__exit__(*error)
            self.flush()
        finally:
            if self._helpers is not None:
                self._helpers.end()


class _Plain(SmartProducer):
    """A SmartProducer that chooses nothing: its `produce` is the library's, with nothing before it."""

    __slots__ = ()


_Plain.__name__, _Plain.__qualname__ = SmartProducer.__name__, SmartProducer.__qualname__


class _Helpers:
    """What works for a producer: what it chooses by, and the monitor and the cache of its own, which end with it.

    Nothing here knows the producer: one that is dropped ends at once, and these with it.
    """

    def __init__(self, config: SmartProducerConfig, monitor: Any, cache: Cache | None) -> None:
        self._monitor, self._cache, self.keys = None, None, None
        settings = config.kafka_config
        if monitor is None:
            monitor = self._monitor = PartitionHealthMonitor.of(config)
        if config.key_stickiness is True:
            if cache is None and config.cache.remote_enabled:
                cache = self._cache = CacheFactory.create(config.cache, "keys")
            self.keys = Keys(
                monitor.views,
                partitioner=partitioner(settings) or DEFAULT_PARTITIONER,
                most=config.cache.local_max_size,
                seconds=config.cache.local_ttl_seconds,
                shared=cache,
                shared_seconds=config.cache.remote_ttl_seconds,
                space=quote(",".join(connection("confluent-kafka", settings).bootstrap), safe=",:"),
            )
        self.choice = Choice(monitor.views, settings)
        health: Any = getattr(getattr(monitor, "_looks", None), "health", None)  # a user's own monitor has none
        self._alarms = [_Alarm(topic, self.choice.changed) for topic in config.topics] if health is not None else []
        for alarm in self._alarms:
            health.subscribe(alarm)
        if self._monitor is not None:
            self._monitor.start()

    def end(self) -> None:
        """Stop the monitor and close the cache, if they are the producer's own. Idempotent."""
        if self._monitor is not None:
            self._monitor.stop()
        if self._cache is not None:
            self._cache.close()


class _Alarm(Feed):
    """Wakes when the health of a topic changes, and keeps nothing of it."""

    def push(self, scores: Mapping[int, float]) -> None:
        """See Feed.push."""
        self._wake()
