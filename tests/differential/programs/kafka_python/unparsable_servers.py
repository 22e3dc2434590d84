"""AGT-28: bootstrap servers that are no addresses; the agent does not say more than the library."""
# agent: line

import sys

from kafka import KafkaProducer

for servers in ("", [], "no port at all:x", None, 17, object(), b"127.0.0.1"):
    try:
        KafkaProducer(bootstrap_servers=servers, api_version_auto_timeout_ms=300, max_block_ms=300).close(0)
    except BaseException as error:
        print(type(error).__name__)
    else:
        print("no error")
sys.stdout.flush()
