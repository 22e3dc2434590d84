"""A double of the Gofka broker: what it answers was recorded from the real one, and so were the hazards it plays.

errors.py      how a request can end, reply apart
state.py       topics, messages, log files, commits;  groups.py  the group coordinator: no bytes, no sockets
protocol.py    frames;  protobuf.py  its other protocol. Written from the recorded exchanges, not from our client
connection.py  one connection, with its faults;  broker.py  the listener and what passes with time: in one event loop
server.py      GofkaDouble (a thread), GofkaProcess (a process; `python -m tests.servers.gofka --port 0`)
client.py      a client of bytes alone
tls.py         certificates for `GofkaDouble(ssl=…)`

    with GofkaDouble(leader_after_s=2) as broker: …broker.address…
"""

from tests.servers.gofka.server import GofkaDouble, GofkaProcess
from tests.servers.gofka.tls import Certificates

__all__ = ["Certificates", "GofkaDouble", "GofkaProcess"]
