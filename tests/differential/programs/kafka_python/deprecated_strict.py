"""TST-5: under -W error, what the library deprecates raises where it does without the agent."""
# options: -W error::DeprecationWarning:__main__
# agent: line

import sys

from kafka import KafkaProducer


class Duck:
    def serialize(self, topic, value):
        return value


producer = KafkaProducer(
    bootstrap_servers=sys.argv[1], value_serializer=Duck(), max_in_flight_requests_per_connection=1
)
producer.send(sys.argv[2], b"value")
producer.close()
