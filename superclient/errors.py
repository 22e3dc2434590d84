"""The errors that superclient raises to people who call it; what the agent does by itself raises none of them.

SuperclientError
├── SettingError          a SUPERSTREAM_* variable that does not parse (also a ValueError)
├── NotTracked            an object that is no producer the agent watches (also a LookupError)
├── ContractError         a record of superstream.metadata_v1 that is not what it should be (also a ValueError)
├── ClusterError          a small read or write of our own that did not work
│   ├── Unreachable       nobody answered in time
│   ├── NotAuthorized     the credentials, or their rights, do not suffice
│   └── TopicMissing      the topic is not on the cluster, and we create none
└── SmartProducerError    lag-aware producing (`superclient.smart`)
    ├── ConfigurationError         a value that cannot be meant (also a ValueError)
    ├── LagDataUnavailableError    a collector could not read the lags
    ├── HealthManagerError         a monitor cannot do what was asked of it
    │   └── HealthCalculationError     the lags make no health
    ├── CacheError                 a cache's store did not do what was asked
    │   ├── CacheUnavailableError      it cannot be reached, or refuses us
    │   └── CacheTimeoutError          it did not answer in time
    └── PartitionSelectionError    no partition could be chosen
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
