"""A client for the Gofka broker, of the standard library alone; could be lifted out of the package whole.

wire.py         the broker's protocol as bytes: requests, replies, frames; no I/O
envelope.py     what the broker does not have, inside its raw messages: key, headers, timestamp, batches; no I/O
codecs.py       gzip, snappy, lz4;  partitioning.py  which partition;  names.py  what may be a topic's name
connection.py   one connection: pipelined, in order, each request with a time limit
pool.py         ConnectionPool;  failover.py  BrokerFailoverManager, RetryPolicy
cluster.py      which broker leads, what topics there are, where a log ends
producer.py     AsyncProducer;  batches.py  what goes together;  flights.py  what became of it; no I/O in these two
sendable.py     what may be sent;  sending.py  one topic's records on their way;  line.py  their connection
consumer.py     AsyncConsumer;  subscription.py  its partitions, records and commits;  reading.py  one partition
keeping.py      its place in the group;  membership.py, assignment.py  who reads what; no I/O
admin.py        AsyncAdminClient
blocking.py     Producer, Consumer, AdminClient: the same without an event loop;  threaded.py  the one that they run on
errors.py, message.py
"""

from superclient._lazy import lazily

# Public names and the modules that define them, imported on first use (PEP 562).
_PUBLIC = {
    "AsyncProducer": "superclient.gofka.producer",
    "AsyncConsumer": "superclient.gofka.consumer",
    "AsyncAdminClient": "superclient.gofka.admin",
    "Producer": "superclient.gofka.blocking",
    "Consumer": "superclient.gofka.blocking",
    "AdminClient": "superclient.gofka.blocking",
    "BrokerFailoverManager": "superclient.gofka.failover",
    "RetryPolicy": "superclient.gofka.failover",
    "ConnectionPool": "superclient.gofka.pool",
    "Message": "superclient.gofka.message",
    "StoredAt": "superclient.gofka.message",
    "Value": "superclient.gofka.message",
    "Broker": "superclient.gofka.wire",
    "MetadataReply": "superclient.gofka.wire",
    "Partition": "superclient.gofka.wire",
    "Topic": "superclient.gofka.wire",
    "BrokerError": "superclient.gofka.wire",
    "ConnectionError": "superclient.gofka.errors",
    "ConsumeError": "superclient.gofka.errors",
    "GofkaError": "superclient.gofka.errors",
    "GroupCoordinationError": "superclient.gofka.errors",
    "GroupNameError": "superclient.gofka.errors",
    "MetadataError": "superclient.gofka.errors",
    "OffsetError": "superclient.gofka.errors",
    "ProduceConnectionError": "superclient.gofka.errors",
    "ProduceError": "superclient.gofka.errors",
    "ProduceTimeoutError": "superclient.gofka.errors",
    "RequestTimeoutError": "superclient.gofka.errors",
    "TopicNameError": "superclient.gofka.errors",
    "WireError": "superclient.gofka.errors",
    "UnknownCodecError": "superclient.gofka.codecs",
}

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from superclient.gofka.admin import AsyncAdminClient as AsyncAdminClient
    from superclient.gofka.blocking import AdminClient as AdminClient
    from superclient.gofka.blocking import Consumer as Consumer
    from superclient.gofka.blocking import Producer as Producer
    from superclient.gofka.codecs import UnknownCodecError as UnknownCodecError
    from superclient.gofka.consumer import AsyncConsumer as AsyncConsumer
    from superclient.gofka.errors import ConnectionError as ConnectionError  # noqa: A004  the built-in name
    from superclient.gofka.errors import ConsumeError as ConsumeError
    from superclient.gofka.errors import GofkaError as GofkaError
    from superclient.gofka.errors import GroupCoordinationError as GroupCoordinationError
    from superclient.gofka.errors import GroupNameError as GroupNameError
    from superclient.gofka.errors import MetadataError as MetadataError
    from superclient.gofka.errors import OffsetError as OffsetError
    from superclient.gofka.errors import ProduceConnectionError as ProduceConnectionError
    from superclient.gofka.errors import ProduceError as ProduceError
    from superclient.gofka.errors import ProduceTimeoutError as ProduceTimeoutError
    from superclient.gofka.errors import RequestTimeoutError as RequestTimeoutError
    from superclient.gofka.errors import TopicNameError as TopicNameError
    from superclient.gofka.errors import WireError as WireError
    from superclient.gofka.failover import BrokerFailoverManager as BrokerFailoverManager
    from superclient.gofka.failover import RetryPolicy as RetryPolicy
    from superclient.gofka.message import Message as Message
    from superclient.gofka.message import StoredAt as StoredAt
    from superclient.gofka.message import Value as Value
    from superclient.gofka.pool import ConnectionPool as ConnectionPool
    from superclient.gofka.producer import AsyncProducer as AsyncProducer
    from superclient.gofka.wire import Broker as Broker
    from superclient.gofka.wire import BrokerError as BrokerError
    from superclient.gofka.wire import MetadataReply as MetadataReply
    from superclient.gofka.wire import Partition as Partition
    from superclient.gofka.wire import Topic as Topic

__all__ = [*_PUBLIC]  # noqa: PLE0604  # for `import *`, which would else find nothing
__getattr__, __dir__ = lazily(globals(), _PUBLIC)
