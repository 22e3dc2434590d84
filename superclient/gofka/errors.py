"""The errors of the Gofka client.

GofkaError
├── ConnectionError            no broker, or a connection that is of no more use (also the built-in ConnectionError)
│   └── RequestTimeoutError    no reply in time (also the built-in TimeoutError)
├── BrokerError                what the broker answered instead, on a connection of one's own (in faults.py)
├── WireError                  bytes that are no reply of this protocol, or a request that cannot be told in it
├── ProduceError               a record was not stored, or perhaps was
│   └── ProduceConnectionError     because no broker was reached, or the connection was lost (also a ConnectionError)
│       └── ProduceTimeoutError        because no reply came in time (also a RequestTimeoutError)
├── ConsumeError               records cannot be read
│   └── OffsetError            an offset that there is not, or that cannot be committed or asked for
├── GroupCoordinationError     the group does not know us, or its partitions cannot be shared out
│   └── GroupNameError             a name that no group may have (also a ValueError)
└── MetadataError              an unknown topic, or one that cannot be made
    └── TopicNameError             a name that no topic may have (also a ValueError)
"""

import builtins

from superclient.errors import SuperclientError


class GofkaError(SuperclientError):
    """Whatever the Gofka client raises derives from this, but for wrong arguments (ValueError, TypeError)."""


class ConnectionError(GofkaError, builtins.ConnectionError):  # noqa: A001  the name that the built-in one has
    """No broker can be reached, it closed in the middle, or what it said made the connection useless."""


class RequestTimeoutError(ConnectionError, builtins.TimeoutError):
    """No reply in time; the connection is closed, since a late reply would be taken for the next one."""


class WireError(GofkaError):
    """Bytes that are no reply of this protocol; the connection they came over is of no more use."""


class ProduceError(GofkaError):
    """A record was not stored, or it is not known whether it was.

    stored: False: it was not, and may be sent again. None: it may have been; sending it again may store it twice.
        True: it was, although the broker answered with an error instead of its offset.
    """

    def __init__(self, message: str, stored: bool | None = False) -> None:
        super().__init__(message)
        self.stored = stored


class ProduceConnectionError(ProduceError, ConnectionError):
    """No broker was reached, or the connection was lost before the reply; `stored` tells which."""


class ProduceTimeoutError(ProduceConnectionError, RequestTimeoutError):
    """The reply did not come in time."""


class ConsumeError(GofkaError):
    """Records cannot be read: not an end that one waits at."""


class OffsetError(ConsumeError):
    """An offset that the log does not have, or that cannot be committed."""


class GroupCoordinationError(GofkaError):
    """The group does not know us, or its partitions could not be shared out in time."""


class MetadataError(GofkaError):
    """A topic that the broker does not know, or could not make."""


class GroupNameError(GroupCoordinationError, ValueError):
    """A name that the broker could not keep apart from its own files, or makes another path of."""


class TopicNameError(MetadataError, ValueError):
    """A name that the broker could not keep apart from its own files or another topic's, or makes another path of."""
