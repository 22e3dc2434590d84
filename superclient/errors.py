"""The errors that superclient raises to people who call it; what the agent does by itself raises none of them.

SuperclientError
├── SettingError          a SUPERSTREAM_* variable that does not parse (also a ValueError)
├── NotTracked            an object that is no producer the agent watches (also a LookupError)
├── ContractError         a record of superstream.metadata_v1 that is not what it should be (also a ValueError)
└── ClusterError          a small read or write of our own that did not work
    ├── Unreachable       nobody answered in time
    ├── NotAuthorized     the credentials, or their rights, do not suffice
    └── TopicMissing      the topic is not on the cluster, and we create none
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
