"""TST-5: eight threads send through one producer."""
# partitions: 3

import sys
import threading

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])


def send(worker):
    for number in range(200):
        producer.send(sys.argv[2], key=b"worker %d" % worker, value=b"%d" % number)


threads = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
producer.flush()
producer.close()
