"""Readers of offsets: log end offsets and what groups have committed, again and again through open connections.

`reader` keeps a session between two readings, gives up the one that hangs, and survives a fork. A session is a
library's own: `confluent` calls librdkafka's admin client, and for groups its consumers (`bystanders`);
`kafka_python` and `aiokafka` connect and authenticate through their library, and have one conversation on top of it:
`exchange`, which does no I/O and speaks the four requests of `protocol`.

The way in is each face's `offsets_reader`.
"""
