"""AGT-25: the main thread ends while another, not a daemon, still sends."""

import sys
import threading

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])


def send():
    threading.main_thread().join()
    for number in range(10):
        producer.send(sys.argv[2], b"value %d" % number).get(10)
    print("sent")


threading.Thread(target=send).start()
