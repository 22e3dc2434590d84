"""A client for the Gofka broker, of the standard library alone; could be lifted out of the package whole.

wire.py         the broker's protocol as bytes: requests, replies, frames; no I/O
envelope.py     what the broker does not have, inside its raw messages: key, headers, timestamp, batches; no I/O
codecs.py       gzip, snappy, lz4;  partitioning.py  which partition;  names.py  what may be a topic's name
connection.py   one connection: pipelined, in order, each request with a time limit
pool.py         ConnectionPool;  failover.py  BrokerFailoverManager, RetryPolicy
cluster.py      which broker leads, what topics there are, where a log ends
producer.py     AsyncProducer;  batches.py  what goes together; no I/O
consumer.py     AsyncConsumer;  membership.py, assignment.py  who reads what; no I/O
admin.py        AsyncAdminClient
blocking.py     Producer, Consumer, AdminClient: the same on a loop of their own
errors.py, message.py
"""
