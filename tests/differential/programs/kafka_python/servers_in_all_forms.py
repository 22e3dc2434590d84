"""AGT-28: bootstrap servers as str, list, tuple, and with spaces."""

import sys

from kafka import KafkaProducer

server = sys.argv[1]
for servers in (server, [server], (server,), f"{server},{server}", [server, f"127.0.0.1:1, {server}"]):
    try:
        producer = KafkaProducer(bootstrap_servers=servers, client_id=None if servers == server else "mine")
        print(producer.send(sys.argv[2], repr(type(servers)).encode()).get(10).partition)
        producer.close()
    except Exception as error:
        print(type(error).__name__)
