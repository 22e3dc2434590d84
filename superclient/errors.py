"""The errors that superclient raises to people who call it; what the agent does by itself raises none of them.

SuperclientError
├── SettingError          a SUPERSTREAM_* variable that does not parse (also a ValueError)
├── NotTracked            an object that is no producer the agent watches (also a LookupError)
├── ContractError         a record of superstream.metadata_v1 that is not what it should be (also a ValueError)
├── ClusterError          a small read or write of our own that did not work
│   ├── Unreachable       nobody answered in time
│   ├── NotAuthorized     the credentials, or their rights, do not suffice
│   └── TopicMissing      the topic is not on the cluster, and we create none
├── SmartProducerError    lag-aware producing (`superclient.smart`)
│   ├── ConfigurationError         a value that cannot be meant (also a ValueError)
│   ├── LagDataUnavailableError    a collector could not read the lags
│   ├── HealthManagerError         a monitor cannot do what was asked of it
│   │   └── HealthCalculationError     the lags make no health
│   ├── CacheError                 a cache's store did not do what was asked
│   │   ├── CacheUnavailableError      it cannot be reached, or refuses us
│   │   └── CacheTimeoutError          it did not answer in time
│   └── PartitionSelectionError    no partition could be chosen
├── MessagingError        typed messaging (`superclient.messaging`)
│   ├── MessagingStoppedError      it was stopped, or left, while somebody waited
│   └── RPCError                   the server answered with an error
└── ToolkitError          the explicit API (`superclient.toolkit`)
    ├── ConfigFileError            a configuration file that is absent, or not what it should be (also a ValueError)
    ├── KafkaProducerError         a record was not delivered, or a call of the producer failed
    │   ├── KafkaProducerRetriableError    the same call may work later
    │   ├── KafkaProducerFatalError        it never will, with this producer, record or rights
    │   └── KafkaProducerFencedError       a newer producer has our transactional id
    ├── KafkaTransactionError      a transaction was not committed
    ├── KafkaConsumerError         a call of the consumer failed
    │   ├── KafkaConsumerRetriableError    the same call may work later
    │   ├── KafkaConsumerFatalError        it never will, with this consumer or rights
    │   └── KafkaConsumerRebalanceError    a callback of the program's raised during a rebalance
    ├── KafkaAdminError            the cluster did not do what was asked
    └── RelayError                 a relay stopped before its end; nothing is lost, what was not committed is read again
"""


class SuperclientError(Exception):
    """Whatever superclient raises derives from this."""


class SettingError(SuperclientError, ValueError):
    """A setting that does not parse; the message names the variable, what it holds and what it takes."""


class NotTracked(SuperclientError, LookupError):
    """The agent does not watch this object; the message says why that may be."""


class ContractError(SuperclientError, ValueError):
    """A record that does not keep the contract of its topic."""


class ClusterError(SuperclientError):
    """A read or write of superclient's own failed; the message says how, without credentials."""


class Unreachable(ClusterError):
    """No broker answered within the deadline."""


class NotAuthorized(ClusterError):
    """Authentication failed, or the principal has no right to the topic."""


class TopicMissing(ClusterError):
    """The topic does not exist; superclient never creates one in passing."""


class SmartProducerError(SuperclientError):
    """Whatever `superclient.smart` raises derives from this."""


class ConfigurationError(SmartProducerError, ValueError):
    """A configuration value that cannot be meant; the message names the field, what it holds and what it takes."""


class LagDataUnavailableError(SmartProducerError):
    """A collector could not read the lags; the message says why, without credentials."""


class HealthManagerError(SmartProducerError):
    """A monitor cannot do what was asked of it."""


class HealthCalculationError(HealthManagerError):
    """What a collector answered is no lags, so there is no health to be made of it."""


class CacheError(SmartProducerError):
    """A cache's store did not do what was asked; the message says why, without credentials."""


class CacheUnavailableError(CacheError):
    """The store cannot be reached, or refuses us."""


class CacheTimeoutError(CacheError):
    """The store did not answer within the deadline."""


class PartitionSelectionError(SmartProducerError):
    """No partition could be chosen."""


class MessagingError(SuperclientError):
    """Whatever `superclient.messaging` raises derives from this, but for errors of use (ValueError, RuntimeError)."""


class MessagingStoppedError(MessagingError):
    """A request was waiting when its client was stopped, or is made after that."""


class RPCError(MessagingError):
    """The error with which a server answered. A handler that raises it decides what the requester is told.

    `code` is a short name for programs ("NOT_FOUND"); the message is for people.
    """

    def __init__(self, message: str, code: str = "ERROR") -> None:
        super().__init__(message)
        self.code = code


class ToolkitError(SuperclientError):
    """Whatever `superclient.toolkit` raises derives from this.

    `code` is the library's name of the error ("_MSG_TIMED_OUT", "TOPIC_AUTHORIZATION_FAILED"), None where neither a
    broker nor the library said it.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class ConfigFileError(ToolkitError, ValueError):
    """A configuration file that is absent, unreadable, or not what it should be; the message names it."""


class KafkaProducerError(ToolkitError):
    """A record was not delivered, or a call of the producer failed."""


class KafkaProducerRetriableError(KafkaProducerError):
    """The same call may work later: a broker is away, a leader moves, a queue is full."""


class KafkaProducerFatalError(KafkaProducerError):
    """The same call will never work: no right to the topic, a record that is too large, a producer that is broken."""


class KafkaProducerFencedError(KafkaProducerError):
    """A newer producer has taken this one's transactional id; this one can only be closed."""


class KafkaTransactionError(ToolkitError):
    """A transaction was not committed, or a step was asked for out of turn."""


class KafkaConsumerError(ToolkitError):
    """A call of the consumer failed."""


class KafkaConsumerRetriableError(KafkaConsumerError):
    """The same call may work later."""


class KafkaConsumerFatalError(KafkaConsumerError):
    """The same call will never work: no right to the topic or group, wrong credentials, a consumer that is closed."""


class KafkaConsumerRebalanceError(KafkaConsumerError):
    """A callback of the program's raised while partitions were assigned or revoked; `__cause__` is what it raised."""


class KafkaAdminError(ToolkitError):
    """The cluster did not do what was asked; the message says what, and why."""


class RelayError(ToolkitError):
    """A relay stopped before its end. Nothing is lost: what was not committed is read again by the next one."""
