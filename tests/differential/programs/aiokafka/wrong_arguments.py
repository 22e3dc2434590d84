"""AGT-28: mistakes in the configuration fail once, with the library's own exceptions."""
# agent: line

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    for wrong in (
        {"no_such": 1},
        {"compression_type": "brotli"},
        {"acks": "some"},
        {"enable_idempotence": True, "acks": 0},
        {"max_batch_size": "many"},
        {"security_protocol": "TELEPATHY"},
        {"bootstrap_servers": 17},
        {"api_version": "none"},
    ):
        try:
            AIOKafkaProducer(**{"bootstrap_servers": sys.argv[1], **wrong})
        except BaseException as error:
            print(wrong, type(error).__name__, error)
        else:
            print(wrong, "goes")
    AIOKafkaProducer(sys.argv[1])


asyncio.run(main())
