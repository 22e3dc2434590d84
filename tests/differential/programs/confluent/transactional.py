"""TST-5, AGT-26: transactions that commit and abort."""
# partitions: 2

import os
import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "transactional.id": f"confluent-{os.getpid()}"})
producer.init_transactions(20)
producer.begin_transaction()
for number in range(20):
    producer.produce(sys.argv[2], b"committed %d" % number, key=b"%d" % (number % 3))
producer.commit_transaction(20)
producer.begin_transaction()
producer.produce(sys.argv[2], b"aborted")
producer.abort_transaction(20)
