"""AGT-24, AGT-25: children of multiprocessing by fork; one leaves without close."""

import multiprocessing
import sys

from kafka import KafkaProducer


def work(number):
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    producer.send(sys.argv[2], b"value %d" % number).get(10)
    if number:
        producer.close()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(number,)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
