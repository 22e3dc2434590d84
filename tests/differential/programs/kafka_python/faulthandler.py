"""TST-5: faulthandler is enabled, and a dump of all threads can be asked for."""

import faulthandler
import os
import sys

from kafka import KafkaProducer

faulthandler.enable()
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
with open(os.devnull, "w") as nowhere:
    faulthandler.dump_traceback(nowhere)
producer.close()
print(faulthandler.is_enabled())
