"""AGT-28: mistakes in the configuration fail once, with the library's own exceptions."""
# agent: line

import sys

from confluent_kafka import Producer

for wrong in (
    {"no.such": 1},
    {"linger.ms": "many"},
    {"linger.ms": -1},
    {"compression.type": "brotli"},
    {"acks": "some"},
    {"stats_cb": None},
    {"error_cb": 5},
    {"partitioner": lambda *args: 0},
    {"enable.idempotence": True, "acks": 0},
    {"batch.size": 0},
    {"linger.ms": 10, "message.timeout.ms": 5},
    {"security.protocol": "telepathy"},
):
    try:
        Producer({"bootstrap.servers": sys.argv[1], **wrong})
    except BaseException as error:
        print(list(wrong), type(error).__name__, error)
    else:
        print(list(wrong), "goes")
for arguments in ((), (17,), ({}, {}), (None,)):
    try:
        Producer(*arguments)
    except BaseException as error:
        print(arguments, type(error).__name__, error)
    else:
        print(arguments, "goes")
Producer({"bootstrap.servers": sys.argv[1], "no.such": 1})
