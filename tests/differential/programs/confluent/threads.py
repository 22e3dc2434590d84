"""TST-5: eight threads produce through one producer, another polls."""
# partitions: 3

import sys
import threading

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
stop = threading.Event()


def poll():
    while not stop.is_set():
        producer.poll(0.05)


def send(worker):
    for number in range(500):
        producer.produce(sys.argv[2], key=b"worker %d" % worker, value=b"%d" % number)


poller = threading.Thread(target=poll)
poller.start()
threads = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(producer.flush(20))
stop.set()
poller.join()
