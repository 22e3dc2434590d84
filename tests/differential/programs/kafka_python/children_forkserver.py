"""AGT-24: children of multiprocessing by a fork server."""

import multiprocessing
import sys

from kafka import KafkaProducer


def work(server, topic):
    producer = KafkaProducer(bootstrap_servers=server)
    producer.send(topic, b"value").get(10)


if __name__ == "__main__":
    child = multiprocessing.get_context("forkserver").Process(target=work, args=sys.argv[1:3])
    child.start()
    child.join()
    print(child.exitcode)
