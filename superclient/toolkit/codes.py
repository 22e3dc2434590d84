"""Which of librdkafka's and the brokers' errors means what, and the exception that says so.

An error that the library itself calls fatal or retriable is taken at its word; for the rest these sets decide. A name
that the installed library does not have is left out.
"""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException

from superclient.errors import (
    KafkaConsumerError,
    KafkaConsumerFatalError,
    KafkaConsumerRetriableError,
    KafkaProducerError,
    KafkaProducerFatalError,
    KafkaProducerFencedError,
    KafkaProducerRetriableError,
)


def named(names: str) -> frozenset[int]:
    """The codes of errors by name, blanks between them; a name that the installed library does not have is left out."""
    return frozenset(getattr(KafkaError, name) for name in names.split() if hasattr(KafkaError, name))


# The same call may work later.
RETRIABLE_ERROR_CODES = named(
    "_MSG_TIMED_OUT _TIMED_OUT _TIMED_OUT_QUEUE _TRANSPORT _ALL_BROKERS_DOWN _RESOLVE _QUEUE_FULL _RETRY _WAIT_COORD "
    "_WAIT_CACHE _IN_PROGRESS REQUEST_TIMED_OUT NETWORK_EXCEPTION LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION "
    "BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE PREFERRED_LEADER_NOT_AVAILABLE NOT_ENOUGH_REPLICAS "
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND UNKNOWN_TOPIC_OR_PART COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE "
    "NOT_COORDINATOR CONCURRENT_TRANSACTIONS KAFKA_STORAGE_ERROR THROTTLING_QUOTA_EXCEEDED UNSTABLE_OFFSET_COMMIT "
    "FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH OFFSET_NOT_AVAILABLE NOT_CONTROLLER INVALID_MSG"
)
# It never will, with this client, record or rights.
FATAL_ERROR_CODES = named(
    "_FATAL _AUTHENTICATION _UNSUPPORTED_FEATURE _UNKNOWN_TOPIC _UNKNOWN_PARTITION _INVALID_ARG _BAD_MSG _SSL "
    "SASL_AUTHENTICATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE SECURITY_DISABLED "
    "TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED "
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED TOPIC_EXCEPTION MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD "
    "INVALID_REQUIRED_ACKS INVALID_TIMESTAMP INVALID_TRANSACTION_TIMEOUT UNSUPPORTED_FOR_MESSAGE_FORMAT "
    "UNSUPPORTED_VERSION UNSUPPORTED_COMPRESSION_TYPE POLICY_VIOLATION INVALID_CONFIG OUT_OF_ORDER_SEQUENCE_NUMBER "
    "INVALID_PRODUCER_ID_MAPPING UNKNOWN_PRODUCER_ID INVALID_TXN_STATE FENCED_INSTANCE_ID"
)
# A newer producer has the transactional id.
FENCING_ERROR_CODES = named("_FENCED PRODUCER_FENCED INVALID_PRODUCER_EPOCH TRANSACTION_COORDINATOR_FENCED")


def error_of(error: BaseException) -> KafkaError | None:
    """The library's error inside an exception of its own, None in any other."""
    found = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return found if isinstance(found, KafkaError) else None


def producer_error(error: KafkaError | BaseException, doing: str = "") -> KafkaProducerError:
    """What the producer raises, or puts into a result, for an error of the library's; `doing` begins the message."""
    found, code, text = _read(error, doing)
    if code in FENCING_ERROR_CODES:
        return KafkaProducerFencedError(text, _name(found))
    if _is(found, "fatal") or code in FATAL_ERROR_CODES:
        return KafkaProducerFatalError(text, _name(found))
    if isinstance(error, BufferError):
        return KafkaProducerRetriableError(text, "_QUEUE_FULL")
    if _is(found, "retriable") or code in RETRIABLE_ERROR_CODES:
        return KafkaProducerRetriableError(text, _name(found))
    return KafkaProducerError(text, _name(found))


def consumer_error(error: KafkaError | BaseException, doing: str = "") -> KafkaConsumerError:
    """What the consumer raises for an error of the library's; `doing` begins the message."""
    found, code, text = _read(error, doing)
    if _is(found, "fatal") or code in FATAL_ERROR_CODES or code in FENCING_ERROR_CODES:
        return KafkaConsumerFatalError(text, _name(found))
    if _is(found, "retriable") or code in RETRIABLE_ERROR_CODES:
        return KafkaConsumerRetriableError(text, _name(found))
    return KafkaConsumerError(text, _name(found))


def is_any(error: KafkaError | BaseException | None, codes: Iterable[int]) -> bool:
    """Whether an error, or the library's error inside an exception, is one of these."""
    found = error_of(error) if isinstance(error, BaseException) else error
    return found is not None and found.code() in codes


def _read(error: KafkaError | BaseException, doing: str) -> tuple[KafkaError | None, int | None, str]:
    found = error_of(error) if isinstance(error, BaseException) else error
    text = str(error) if found is None else f"{found.str()} ({found.name()})"
    return found, None if found is None else found.code(), f"{doing}: {text}" if doing else text


def _name(found: KafkaError | None) -> str | None:
    return None if found is None else str(found.name())


def _is(found: KafkaError | None, quality: str) -> bool:
    return found is not None and bool(getattr(found, quality)())
