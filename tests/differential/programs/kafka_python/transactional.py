"""TST-5, AGT-26: a committed transaction is read, an aborted one is not."""
# partitions: 2

import os
import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], transactional_id=f"transaction-{os.getpid()}")
producer.init_transactions()
producer.begin_transaction()
for number in range(20):
    producer.send(sys.argv[2], key=b"%d" % (number % 3), value=b"committed %d" % number)
producer.commit_transaction()
producer.begin_transaction()
producer.send(sys.argv[2], b"aborted")
producer.abort_transaction()
producer.close()
