"""The four questions of a reading, and their requests and answers in bytes for those who speak to brokers themselves.

Each is asked in one version that brokers from 0.11 to 4.x speak (layouts: kafka.apache.org/protocol), so that every
version of kafka-python and aiokafka, whose own message classes differ, sends the same. It is quicker too: an answer
about 5000 partitions takes milliseconds of the interpreter that the program runs in.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple, TypeVar

from superclient.errors import ClusterError, NotAuthorized, TopicMissing, Unreachable

T = TypeVar("T")

LATEST, EARLIEST = -1, -2  # in place of a timestamp
UNKNOWN_TOPIC, NOT_LEADER, NOT_COORDINATOR, GROUP_NOT_FOUND = 3, 6, 16, 69
_READ_UNCOMMITTED = 0
_DENIED = {29: "TopicAuthorizationFailed", 30: "GroupAuthorizationFailed", 31: "ClusterAuthorizationFailed"}
_AWAY = {
    5: "LeaderNotAvailable", NOT_LEADER: "NotLeaderForPartition", 7: "RequestTimedOut", 8: "BrokerNotAvailable",
    9: "ReplicaNotAvailable", 13: "NetworkException", 14: "CoordinatorLoadInProgress", 15: "CoordinatorNotAvailable",
    NOT_COORDINATOR: "NotCoordinator", 56: "KafkaStorageError", 74: "FencedLeaderEpoch", 78: "OffsetNotAvailable",
}  # fmt: skip

_BYTE, _SHORT, _INT, _LONG = Struct(">b"), Struct(">h"), Struct(">i"), Struct(">q")
_HEAD = Struct(">hhi")
_END = Struct(">ihqq")  # partition, error, timestamp, offset
_COMMIT = Struct(">iq")  # partition, offset
_PARTITION = Struct(">hii")  # error, partition, leader


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int


class TopicState(NamedTuple):
    """What an answer about metadata says of a topic: an error, or partition → leader's node (-1 for none)."""

    error: int
    leaders: Mapping[int, int]


def error_of(code: int) -> ClusterError:
    """The broker's error code as our kind of error."""
    if code in _DENIED:
        return NotAuthorized(_DENIED[code])
    if code == UNKNOWN_TOPIC:
        return TopicMissing("UnknownTopicOrPartition")
    return Unreachable(_AWAY[code]) if code in _AWAY else ClusterError(f"the broker's error {code}")


class Request:
    """A request, in every shape in which the libraries' connections ask for one."""

    FLEXIBLE_VERSION = False

    def __init__(self, key: int, version: int, body: bytes) -> None:
        self.API_KEY, self.API_VERSION, self._body = key, version, body
        self.api_key, self.api_version, self.correlation_id = key, version, 0
        self._head = b""
        self.RESPONSE_TYPE = Answer

    def with_header(self, correlation_id: int = 0, client_id: str = "") -> None:
        """kafka-python 3: the header is kept, and asked about later."""
        self.correlation_id = correlation_id
        self._head = _HEAD.pack(self.API_KEY, self.API_VERSION, correlation_id) + text(client_id)

    def build_header(self, correlation_id: int = 0, client_id: str = "") -> "_Encoded":
        """kafka-python 2.2 and 2.3."""
        self.with_header(correlation_id, client_id)
        return _Encoded(self._head)

    build_request_header = build_header  # kafka-python 2.0, aiokafka from 0.12 on

    def encode(self, framed: bool = False, header: bool = False) -> bytes:
        """The body; in kafka-python 3 the header and the length before it too."""
        data = self._head + self._body if header else self._body
        return _INT.pack(len(data)) + data if framed else data

    def prepare(self, versions: object) -> "Request":
        """aiokafka from 0.13 on: the request in a version that the broker knows."""
        return self

    def expect_response(self) -> bool:
        """All of them are answered."""
        return True

    def parse_response_header(self, answer: Any) -> "_ResponseHeader":
        """kafka-python 2.0, aiokafka from 0.12 on."""
        return Answer.parse_header(answer)

    @property
    def header(self) -> "Request":
        """kafka-python 3: what knows its numbers and the class of its answer."""
        return self

    def get_response_class(self) -> "type[Answer]":
        """See `header`."""
        return Answer


class _Encoded(bytes):
    def encode(self) -> bytes:
        return self


class _ResponseHeader(NamedTuple):
    correlation_id: int


class Answer:
    """An answer: what remains of it, read from the front.

    Raises struct.error where it is too short.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @classmethod
    def parse_header(cls, answer: Any) -> _ResponseHeader:
        """The header's one number, taken off a file-like object, as the libraries want it."""
        return _ResponseHeader(*_INT.unpack(answer.read(4)))

    @classmethod
    def decode(cls, answer: Any) -> "Answer":
        """What follows the header, from bytes or a file-like object."""
        return cls(answer.read() if hasattr(answer, "read") else bytes(answer))

    def take(self, layout: Struct) -> Any:
        """The next values of this layout, as a tuple."""
        values = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return values

    def number(self, layout: Struct = _INT) -> int:
        """The next number."""
        (value,) = self.take(layout)
        return int(value)

    def text(self) -> str | None:
        """The next string."""
        length = self.number(_SHORT)
        if length < 0:
            return None
        self._at += length
        return self._data[self._at - length : self._at].decode()

    def many(self, each: "Callable[[Answer], T]") -> list[T]:
        """The next array, each of whose elements is read by `each`."""
        return [each(self) for _ in range(self.number())]

    def rows(self, layout: Struct) -> Iterator[Any]:
        """The next array, of elements of a fixed layout."""
        count = self.number()
        start, self._at = self._at, self._at + count * layout.size
        return layout.iter_unpack(memoryview(self._data)[start : self._at])

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        self._at += size


def text(value: str) -> bytes:
    """A string in the protocol's form."""
    data = value.encode()
    return _SHORT.pack(len(data)) + data


@dataclass(frozen=True)
class Metadata:
    """Where the partitions of these topics have their leaders; in the form that creates no topic."""

    topics: Collection[str]

    def request(self) -> Request:
        """The question in bytes."""
        return Request(3, 4, _INT.pack(len(self.topics)) + b"".join(map(text, self.topics)) + _BYTE.pack(0))

    def result(self, answer: Answer) -> tuple[dict[int, Address], dict[str, TopicState]]:
        """Node → address, and topic → state."""
        answer.skip(4)  # throttle time
        nodes = dict(answer.many(_node))
        answer.text()  # the cluster's id
        answer.skip(4)  # the controller
        return nodes, dict(answer.many(_topic))


def _node(answer: Answer) -> tuple[int, Address]:
    node, address = answer.number(), Address(answer.text() or "", answer.number())
    answer.text()  # the rack
    return node, address


def _topic(answer: Answer) -> tuple[str, TopicState]:
    error, name = answer.number(_SHORT), answer.text() or ""
    answer.skip(1)  # whether it is internal
    return name, TopicState(error, dict(answer.many(_leader)))


def _leader(answer: Answer) -> tuple[int, int]:
    _, partition, leader = answer.take(_PARTITION)
    for _ in range(2):  # replicas, and those in sync
        answer.skip(4 * answer.number())
    return partition, leader


@dataclass(frozen=True)
class FindCoordinator:
    """Which broker keeps a group's offsets."""

    group: str

    def request(self) -> Request:
        """The question in bytes."""
        return Request(10, 1, text(self.group) + _BYTE.pack(0))

    def result(self, answer: Answer) -> tuple[int, Address]:
        """An error code, and the broker's address."""
        answer.skip(4)  # throttle time
        error = answer.number(_SHORT)
        answer.text()  # its message
        answer.skip(4)  # the node
        return error, Address(answer.text() or "", answer.number())


@dataclass(frozen=True)
class ListOffsets:
    """Where these partitions (topic → numbers), all with one leader, end (LATEST) or start (EARLIEST)."""

    partitions: Mapping[str, Collection[int]]
    timestamp: int

    def request(self) -> Request:
        """The question in bytes."""
        at = _LONG.pack(self.timestamp)
        body = [_INT.pack(-1), _BYTE.pack(_READ_UNCOMMITTED), _INT.pack(len(self.partitions))]
        for topic, numbers in self.partitions.items():
            body += text(topic), _INT.pack(len(numbers)), *(_INT.pack(number) + at for number in numbers)
        return Request(2, 2, b"".join(body))

    def result(self, answer: Answer) -> dict[str, dict[int, tuple[int, int]]]:
        """Topic → partition → error code and offset."""
        answer.skip(4)  # throttle time
        return dict(answer.many(_ends))


def _ends(answer: Answer) -> tuple[str, dict[int, tuple[int, int]]]:
    return answer.text() or "", {number: (error, offset) for number, error, _, offset in answer.rows(_END)}


@dataclass(frozen=True)
class OffsetFetch:
    """What a group has committed for these partitions (topic → numbers)."""

    group: str
    partitions: Mapping[str, Collection[int]]

    def request(self) -> Request:
        """The question in bytes."""
        body = [text(self.group), _INT.pack(len(self.partitions))]
        for topic, numbers in self.partitions.items():
            body += text(topic), _INT.pack(len(numbers)), *map(_INT.pack, numbers)
        return Request(9, 2, b"".join(body))

    def result(self, answer: Answer) -> tuple[int, dict[str, dict[int, int]]]:
        """An error code, and topic → partition → offset where there is one."""
        topics = {topic: found for topic, found in answer.many(_commits) if found}
        return answer.number(_SHORT), topics


def _commits(answer: Answer) -> tuple[str, dict[int, int]]:
    topic, found = answer.text() or "", {}
    for _ in range(answer.number()):
        number, offset = answer.take(_COMMIT)
        answer.skip(max(0, answer.number(_SHORT)))  # what the consumer noted
        if answer.number(_SHORT) == 0 and offset >= 0:
            found[number] = offset
    return topic, found


Question = Metadata | FindCoordinator | ListOffsets | OffsetFetch
