"""AGT-24: os.fork after a producer exists: the child makes its own, the parent's goes on."""
# options: -W default::DeprecationWarning:__main__

import os
import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"before").get(10)
child = os.fork()
if child == 0:
    own = KafkaProducer(bootstrap_servers=sys.argv[1])
    own.send(sys.argv[2], b"child").get(10)
    own.close()
    print("child done", flush=True)
    os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
producer.send(sys.argv[2], b"after").get(10)
producer.close()
