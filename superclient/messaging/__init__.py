"""Typed messaging over aiokafka: a listener that yields parsed records, and requests that wait for their replies.

    parsing.py      ParserSpec and Routes: which parser and which type are for a topic; AutoCommit
    listener.py     KafkaListener: one consumer, a stream for each subscriber; stream.py has TypeStream
    rpc.py          KafkaRPC: a request; replies.py gives it the reply that carries its id
    server.py       KafkaRPCServer: which requests run; answers.py has what becomes of one
    link.py         what both have: a reader and a producer that begin and end together
    headers.py      what travels between them; correlation.py: which reply is whose; address.py: where it goes; no I/O
    reader.py       a consumer's life, told once for all three: started, read, rebalanced, committed, stopped
    lanes.py        one partition of it: what waits, what is handed out, what may be committed; no I/O
    connection.py   the program's consumers and producers: checked, and a producer that reaches the same cluster

Everything lives on one event loop. For confluent-kafka, and for records as they are, there is `superclient.toolkit`.
"""

import sys
from importlib.util import find_spec

from superclient._lazy import lazily

# Asked for here, once for every module of the package: else the first of them would fail in the middle of an import.
if "aiokafka" not in sys.modules and find_spec("aiokafka") is None:
    raise ImportError("superclient.messaging needs aiokafka: pip install 'superclient[messaging]'", name="aiokafka")

# Public names and the modules that define them, imported on first use (PEP 562).
_PUBLIC = {
    "KafkaListener": "superclient.messaging.listener",
    "ListenerStats": "superclient.messaging.listener",
    "TypeStream": "superclient.messaging.stream",
    "AutoCommit": "superclient.messaging.parsing",
    "ParserSpec": "superclient.messaging.parsing",
    "KafkaRPC": "superclient.messaging.rpc",
    "RPCStats": "superclient.messaging.rpc",
    "KafkaRPCServer": "superclient.messaging.server",
    "ServerStats": "superclient.messaging.server",
    "MessagingError": "superclient.errors",
    "MessagingStoppedError": "superclient.errors",
    "RPCError": "superclient.errors",
}

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from superclient.errors import MessagingError as MessagingError
    from superclient.errors import MessagingStoppedError as MessagingStoppedError
    from superclient.errors import RPCError as RPCError
    from superclient.messaging.listener import KafkaListener as KafkaListener
    from superclient.messaging.listener import ListenerStats as ListenerStats
    from superclient.messaging.parsing import AutoCommit as AutoCommit
    from superclient.messaging.parsing import ParserSpec as ParserSpec
    from superclient.messaging.rpc import KafkaRPC as KafkaRPC
    from superclient.messaging.rpc import RPCStats as RPCStats
    from superclient.messaging.server import KafkaRPCServer as KafkaRPCServer
    from superclient.messaging.server import ServerStats as ServerStats
    from superclient.messaging.stream import TypeStream as TypeStream

__all__ = [*_PUBLIC]  # noqa: PLE0604  # for `import *`, which would else find nothing
__getattr__, __dir__ = lazily(globals(), _PUBLIC)
