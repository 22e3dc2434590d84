"""One transaction of a relay: begun, the records produced, their offsets sent, committed; or aborted.

Two things make that exactly once. The group's metadata is read *before* it is checked that the partitions are still
ours: then its generation is one in which they were, and the coordinator refuses every older one (KIP-447). And a commit
of which nobody knows the outcome is gone on with until somebody does, or left to the next process that takes the
transactional id: it is never made anew.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from superclient.errors import KafkaProducerFencedError, RelayError, ToolkitError
from superclient.toolkit import codes
from superclient.toolkit.forwarding import Target
from superclient.toolkit.transaction import Transactions, may_go_on

ATTEMPTS = 3  # of a record that the transform or the target refuses
STUCK = 6.0  # seconds after which a step that was given fewer is taken for lost
_OFFSETS_TIMEOUT = 4.0  # seconds; this step cannot be resumed, and nothing interrupts it
_METADATA = b"CGMDv2:"  # how librdkafka writes a group's metadata: this, then the generation as a native 32-bit number
_REFUSALS = codes.named("MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD INVALID_TIMESTAMP POLICY_VIOLATION")
_UNDELIVERED = _REFUSALS | codes.named("_INCONSISTENT")
_HOPELESS = codes.named(
    "TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED SASL_AUTHENTICATION_FAILED "
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED _AUTHENTICATION _SSL _UNKNOWN_TOPIC _UNKNOWN_PARTITION TOPIC_EXCEPTION "
    "UNSUPPORTED_VERSION UNSUPPORTED_COMPRESSION_TYPE _UNSUPPORTED_FEATURE INVALID_REQUIRED_ACKS"
)


class Claimed(Protocol):
    """A partition of the source for as long as it is ours."""

    valid: bool


Item = tuple[Any, Any]  # (Claimed, the library's record): under which claim it was read


class Producing(Protocol):
    """What is needed of KafkaProducer."""

    client: Any
    transactions: Transactions | None

    def close(self, timeout: float | None = None) -> object:
        """Let go of the client."""


class Stale(Exception):
    """The partitions of the batch are no longer ours, or the group is between two generations."""


class OutOfTime(Exception):
    """The relay ends, and what the brokers made of the last step nobody here knows."""


class Broken(Exception):
    """The producer is of no use any more, and no rival is the reason; the brokers know what became of its transaction.

    The transaction was open for longer than they allow, or the library has lost its way after an error.
    """


class Refused(Exception):
    """A record that the transform, or the target, does not take."""

    def __init__(self, message: Any, error: Exception) -> None:
        where = f"{message.topic()}[{message.partition()}] offset {message.offset()}"
        super().__init__(f"record {where}: {type(error).__name__}: {error}")
        self.place, self.error = _place(message), error


@dataclass
class Carrier:
    """Transactions of one producer; used by one thread. `ending` tells that the relay cannot wait any longer."""

    producer: Producing
    target: Target
    transaction_timeout: float  # seconds
    group_metadata: Callable[[], Any]
    ending: Callable[[], bool]

    def __post_init__(self) -> None:
        assert self.producer.transactions is not None
        self._transactions = self.producer.transactions
        self._transactions.patient = lambda: not self.ending()
        self._faults: dict[tuple[int, int], int] = {}  # refusals of a record, by partition and offset
        self._dead: dict[tuple[int, int], Exception] = {}
        self._careful = False  # one record at a time, to learn which of them is refused
        self.sending_since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether the library sends offsets for longer than it was given; it may never come back.

        It waits for a change of a broker's state that need not come (librdkafka's issues 5456 and 5511).
        """
        since = self.sending_since
        return since is not None and time.monotonic() - since > STUCK

    def initialise(self) -> None:
        """Take the transactional id, and abort what a predecessor left open under it; waits for the brokers."""
        while not self.ending():
            try:
                return self._transactions.initialise()
            except ToolkitError as error:
                if not may_go_on(error):
                    raise RelayError(str(error), error.code) from error
        raise OutOfTime

    def commit(self, batch: list[Item]) -> tuple[int, int]:
        """Forward a batch and its offsets; how many records went to the target, and how many to the dead letters.

        Raises:
            OutOfTime: the relay ended first.
            Stale, Refused, KafkaException, ToolkitError: `abort` is what remains.
        """
        begun = self._transactions.begin()
        if begun.error is not None:
            raise begun.error
        outcomes = [self._produce(message) for _, message in batch]
        metadata = self.group_metadata()
        if generation(metadata) <= 0:
            raise Stale("the group is between two generations")
        if not all(claim.valid for claim, _ in batch):
            raise Stale("partitions were revoked")
        if self.ending():
            raise Stale("the relay ends")
        self.sending_since = time.monotonic()
        try:
            self._transactions.send_offsets(_offsets(batch), metadata, _OFFSETS_TIMEOUT)
        finally:
            self.sending_since = None
        if self.ending():
            raise Stale("the relay ends")
        while (committed := self._transactions.commit()).error is not None:
            if not may_go_on(committed.error):
                raise committed.error
            if self.ending():
                raise OutOfTime
        self._faults, self._dead, self._careful = {}, {}, False
        return outcomes.count(True), outcomes.count(False)

    def abort(self, error: Exception, age: float) -> None:
        """Abort what `commit` left open when it raised this error, `age` seconds after it began.

        Raises:
            OutOfTime, Broken, RelayError, KafkaProducerFencedError: there is no sense in another attempt.
        """
        self._give_up_if_fatal(error, age)
        while self._transactions.open and (failed := self._transactions.abort().error) is not None:
            if not may_go_on(failed):
                self._give_up_if_fatal(failed, age)
                raise Broken(str(failed)) from failed
            if self.ending():
                raise OutOfTime
        if isinstance(error, Refused):
            self._count(error)
        elif codes.is_any(_library(error), _UNDELIVERED):
            self._careful = True

    def _produce(self, message: Any) -> bool | None:
        """True for a record that goes to the target, False for a dead letter, None for one that is dropped."""
        buried = self._dead.get(_place(message)) if self._dead else None
        try:
            record = self.target.dead(message, buried) if buried else self.target.record(message)
        except Exception as error:
            raise Refused(message, error) from error
        if record is None:
            return None
        if not self._careful:
            self._queue(message, record)
            return buried is None
        answers: list[KafkaError | None] = []
        self._queue(message, {**record, "on_delivery": lambda error, _: answers.append(error)})
        while not answers:
            if self.ending():
                raise Stale("the relay ends")
            self.producer.client.poll(0.1)
        if answers[0] is not None:
            raise _refusal(message, KafkaException(answers[0]))
        return buried is None

    def _queue(self, message: Any, record: dict[str, Any]) -> None:
        while True:
            try:
                self.producer.client.produce(**record)
                return
            except BufferError:
                if self.ending():
                    raise Stale("the relay ends") from None
                self.producer.client.poll(0.1)
            except KafkaException as error:
                raise _refusal(message, error) from error
            except (TypeError, ValueError, OverflowError) as error:
                raise Refused(message, error) from error

    def _give_up_if_fatal(self, error: Exception, age: float) -> None:
        found = _library(error)
        if isinstance(error, KafkaProducerFencedError) or codes.is_any(found, codes.FENCING_ERROR_CODES):
            if age > self.transaction_timeout:
                raise Broken(str(error)) from error
            text = f"another relay uses transactional id {self._transactions.id}: this one is fenced"
            raise KafkaProducerFencedError(text, None if found is None else str(found.name())) from error
        if found is not None and found.code() in _HOPELESS:
            raise RelayError(str(codes.producer_error(found)), str(found.name())) from error
        if found is not None and found.fatal():
            raise Broken(str(error)) from error

    def _count(self, refused: Refused) -> None:
        place = refused.place
        self._faults[place] = self._faults.get(place, 0) + 1
        if place in self._dead:
            raise RelayError(f"{refused} (as a dead letter)") from refused.error
        if self._faults[place] < ATTEMPTS:
            return
        if self.target.dead_letter is None:
            raise RelayError(f"{refused} ({ATTEMPTS} attempts; nothing of its batch was committed)") from refused.error
        self._dead[place] = refused.error


def generation(metadata: object) -> int:
    """Which generation of the group this is; below 1: none, and the coordinator would let offsets pass unchecked."""
    if not isinstance(metadata, bytes) or not metadata.startswith(_METADATA):
        return 1  # another version's; there is nothing to go by
    start = len(_METADATA)
    return int.from_bytes(metadata[start : start + 4], sys.byteorder, signed=True)


def _offsets(batch: Iterable[Item]) -> list[TopicPartition]:
    found = []
    for number, message in {message.partition(): message for _, message in batch}.items():
        epoch = message.leader_epoch()
        place = message.offset() + 1
        found.append(TopicPartition(message.topic(), number, place, leader_epoch=-1 if epoch is None else epoch))
    return found


def _refusal(message: Any, error: KafkaException) -> Exception:
    """Whether the record is at fault, or the brokers."""
    return Refused(message, codes.producer_error(error)) if codes.is_any(error, _REFUSALS) else error


def _place(message: Any) -> tuple[int, int]:
    return message.partition(), message.offset()


def _library(error: BaseException) -> KafkaError | None:
    return codes.error_of(error) or (codes.error_of(error.__cause__) if error.__cause__ else None)
