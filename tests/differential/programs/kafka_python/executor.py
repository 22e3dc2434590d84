"""AGT-24: a pool of processes that stay, each with one producer for many tasks."""
# partitions: 2

import concurrent.futures
import functools
import multiprocessing
import sys

from kafka import KafkaProducer


@functools.cache
def producer():
    return KafkaProducer(bootstrap_servers=sys.argv[1])


def work(number):
    producer().send(sys.argv[2], key=b"%d" % number, value=b"value").get(10)
    return number * 2


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(sum(pool.map(work, range(20))))
