"""Questions through librdkafka (confluent-kafka 2.3 to 2.16), which knows by itself whom to ask.

Metadata and offsets through its admin client, groups through `bystanders`. Each leader's partitions are a call of their
own, since librdkafka gives no part of a call's result before all of it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet  # up to Python 3.10 not the built-in one
from typing import Any, cast

from superclient.errors import ClusterError, TopicMissing, Unreachable
from superclient.kafka import confluent as face
from superclient.kafka.connection import Connection
from superclient.kafka.offsets.bystanders import Bystanders
from superclient.kafka.offsets.exchange import Answers, Ask, Conversation
from superclient.kafka.offsets.lasting import lasting
from superclient.kafka.offsets.protocol import (
    LATEST,
    UNKNOWN_TOPIC,
    Address,
    FindCoordinator,
    ListOffsets,
    Metadata,
    OffsetFetch,
    Question,
    TopicState,
)
from superclient.kafka.offsets.reader import Reader

_ANYBODY = Address("", 0)  # librdkafka's to know
_SLICE = 0.02  # seconds of one wait: callbacks are served between two of them


def offsets_reader(connection: Connection) -> Reader:
    """See OffsetsReader."""
    return Reader(lambda _: Conversation([_ANYBODY], _Transport(connection)))


class _Refused(Exception):
    """The broker's error code in place of an answer."""

    def __init__(self, code: int) -> None:
        self.code = code


class _Transport:
    """See exchange.Transport. Callbacks, of which one may hand out tokens, run while an answer is waited for."""

    def __init__(self, connection: Connection) -> None:
        from confluent_kafka.admin import AdminClient

        self._watch = face._Watch()
        settings: dict[str, Any] = {**lasting(connection), **face._common(self._watch)}
        self._admin: Any = AdminClient(settings)
        self._groups = Bystanders(settings, self._watch)
        self._end = 0.0  # time.monotonic() when nobody waits any longer

    def send(self, asks: Sequence[Ask], seconds: float) -> Answers:
        """See exchange.Transport."""
        self._end = time.monotonic() + seconds
        self._admin.poll(0)
        self._groups.serve()
        self._watch.check()  # brokers that were lost since the last reading: librdkafka says so but once
        started = [self._start(ask.question, max(seconds, 0.01)) for ask in asks]
        about_groups = self._about_groups([ask.question for ask in asks], seconds)
        return [
            about_groups.get(number) or self._finish(ask.question, futures)
            for number, (ask, futures) in enumerate(zip(asks, started, strict=True))
        ]

    def close(self) -> None:
        """See exchange.Transport. With its last reference librdkafka ends its threads, which takes a moment."""
        self._groups.close()
        self._admin = None

    def _start(self, question: Question, seconds: float) -> Mapping[Any, Future[Any]]:
        import confluent_kafka.admin as library
        from confluent_kafka import IsolationLevel, TopicCollection

        if isinstance(question, Metadata):
            futures = self._admin.describe_topics(TopicCollection(list(question.topics)), request_timeout=seconds)
        elif isinstance(question, ListOffsets):
            specs: Any = vars(library)["OffsetSpec"]  # its types do not show it
            spec = specs.latest() if question.timestamp == LATEST else specs.earliest()
            wanted = dict.fromkeys(_partitions(question.partitions), spec)
            uncommitted = IsolationLevel.READ_UNCOMMITTED
            futures = self._admin.list_offsets(wanted, isolation_level=uncommitted, request_timeout=seconds)
        else:
            futures = {}
        return cast("Mapping[Any, Future[Any]]", futures)

    def _about_groups(self, questions: Sequence[Question], seconds: float) -> dict[int, Any]:
        """Number of the question → its result, or a ClusterError, of those that groups are asked about."""
        found: dict[int, Any] = {}
        finds = {number: each.group for number, each in enumerate(questions) if isinstance(each, FindCoordinator)}
        fetches = {number: each for number, each in enumerate(questions) if isinstance(each, OffsetFetch)}
        try:
            codes = self._groups.find(list(finds.values()), seconds)
            found |= {number: (code, _ANYBODY) for number, code in zip(finds, codes, strict=True)}
            wanted = {each.group: _partitions(each.partitions) for each in fetches.values()}
            answers = self._groups.commits(wanted, seconds)
            found |= {number: _commits(answers[each.group]) for number, each in fetches.items()}
        except ClusterError as error:  # nobody can be reached, or nobody lets us in
            found |= dict.fromkeys([*finds, *fetches], error)
        return found

    def _finish(self, question: Question, futures: Mapping[Any, Future[Any]]) -> Any:
        """The question's result, or a ClusterError in its place."""
        try:
            return self._leaders(futures) if isinstance(question, Metadata) else self._offsets(futures)
        except ClusterError as error:
            self._watch.check()  # where nobody can be reached, or nobody lets us in, there is nothing more to wait for
            return error

    def _leaders(self, futures: Mapping[str, Future[Any]]) -> tuple[dict[int, Address], dict[str, TopicState]]:
        nodes: dict[int, Address] = {}
        topics: dict[str, TopicState] = {}
        for topic, future in futures.items():
            try:
                partitions = self._value(future).partitions
            except _Refused as error:
                topics[topic] = TopicState(error.code, {})
                continue
            nodes |= {each.leader.id: Address(each.leader.host, each.leader.port) for each in partitions if each.leader}
            topics[topic] = TopicState(0, {each.id: each.leader.id if each.leader else -1 for each in partitions})
        return nodes, topics

    def _offsets(self, futures: Mapping[Any, Future[Any]]) -> dict[str, dict[int, tuple[int, int]]]:
        found: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for partition, future in futures.items():
            try:
                offset = self._value(future).offset
                if offset < 0:  # so librdkafka says that the leader did not answer in time
                    raise Unreachable("no answer in time")
                found[partition.topic][partition.partition] = 0, offset
            except _Refused as error:
                found[partition.topic][partition.partition] = error.code, -1
        return found

    def _value(self, future: Future[Any]) -> Any:
        """What a call brought.

        Raises:
            _Refused: the broker's error.
            ClusterError: librdkafka's own; or it takes too long.
        """
        from confluent_kafka import KafkaException

        while True:
            left = self._end - time.monotonic()
            try:
                return future.result(max(0.0, min(_SLICE, left)))
            except NotYet:
                self._admin.poll(0)
                self._watch.check()
                if left <= 0:
                    raise Unreachable("no answer in time") from None
            except KafkaException as error:
                failure = error.args[0]
                if failure.code() > 0:
                    raise _Refused(failure.code()) from None
                known = face._translate(failure)
                raise (_Refused(UNKNOWN_TOPIC) if isinstance(known, TopicMissing) else known) from None


def _commits(answer: list[Any] | int | ClusterError) -> Any:
    """An OffsetFetch's result, or a ClusterError in its place."""
    if isinstance(answer, ClusterError):
        return answer
    if isinstance(answer, int):
        return answer, {}
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for each in answer:
        if each.error is None and each.offset >= 0:
            found[each.topic][each.partition] = each.offset
    return 0, dict(found)


def _partitions(partitions: Mapping[str, Iterable[int]]) -> list[Any]:
    from confluent_kafka import TopicPartition

    return [TopicPartition(topic, number) for topic, numbers in partitions.items() for number in numbers]
